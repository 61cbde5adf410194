"""Take the screenshots of the README from the running program: `make screenshots`.

Usage: python -m tests.tui.screenshots FOLDER [COLUMNS …]
"""

import asyncio
import re
import sys
from pathlib import Path

from textual.pilot import Pilot

from ondevice.tui.app import RecApp

HEIGHT = {40: 30, 80: 24, 120: 30}
FONT_FACE = re.compile(r"@font-face\s*\{.*?\}", re.DOTALL)  # it would be fetched from the internet
FONTS = "'DejaVu Sans Mono', Menlo, Consolas, monospace"


async def settled(pilot: Pilot[None]) -> None:
    """Wait until every worker has finished and everything is painted."""
    for _ in range(4):
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()


async def take(columns: int, folder: Path) -> Path:
    """Open the demo at `columns` and save what it shows as SVG."""
    app = RecApp(demo=True)
    try:
        async with app.run_test(size=(columns, HEIGHT.get(columns, 30))) as pilot:
            await settled(pilot)
            await pilot.press("j")
            await settled(pilot)
            svg = app.export_screenshot(title="ondevice-rec demo")
    finally:
        app.close()
    path = folder / f"for-you-{columns}.svg"
    path.write_text(local(svg), encoding="utf-8")
    return path


def local(svg: str) -> str:
    """Make `svg` fetch nothing: fonts that are on the reader's device."""
    return re.sub(
        r"font-family:\s*Fira Code[^;]*;", f"font-family: {FONTS};", FONT_FACE.sub("", svg)
    )


def main() -> None:
    """Take one screenshot for each width named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for columns in [int(argument) for argument in sys.argv[2:]] or [40, 80, 120]:
        print(asyncio.run(take(columns, folder)))


if __name__ == "__main__":
    main()
