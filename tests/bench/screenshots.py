"""Take the screenshots of the README from the running program: `make screenshots`.

Usage: python tests/bench/screenshots.py FOLDER [COLUMNS …]
"""

import asyncio
import re
import sys
from pathlib import Path

from ondevice.tui.app import RecApp

HEIGHT = {40: 30, 80: 24, 120: 30}
FONT_FACE = re.compile(r"@font-face\s*\{.*?\}", re.DOTALL)  # it would be fetched from the internet


async def settled(app: RecApp) -> None:
    """Wait until every worker has finished and painted."""
    pilot_ticks = 3
    for _ in range(pilot_ticks):
        await app.workers.wait_for_complete()
        await asyncio.sleep(0.05)


async def take(columns: int, folder: Path) -> Path:
    """Open the demo at `columns` and save what it shows as SVG."""
    app = RecApp(demo=True)
    async with app.run_test(size=(columns, HEIGHT.get(columns, 30))) as pilot:
        await settled(app)
        await pilot.press("j")
        await settled(app)
        svg = FONT_FACE.sub("", app.export_screenshot(title="ondevice-rec demo"))
    path = folder / f"for-you-{columns}.svg"
    path.write_text(svg, encoding="utf-8")
    return path


def main() -> None:
    """Take one screenshot for each width named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for columns in [int(argument) for argument in sys.argv[2:]] or [40, 80, 120]:
        print(asyncio.run(take(columns, folder)))


if __name__ == "__main__":
    main()
