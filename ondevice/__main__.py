"""Choose a front end and import only that one: the TUI on a terminal, else the CLI."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

_TAKES_VALUE = "--home"

# One thread, that sleeps when it waits: on a small device others need the cores (read by numpy's
# and onnxruntime's libraries when they load).
CALM = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def main() -> int:
    """Run `ondevice-rec` and return its exit code."""
    for name, value in CALM.items():
        os.environ.setdefault(name, value)
    arguments = sys.argv[1:]
    wish = tui_wish(arguments) if on_terminal() else None
    if wish is not None:
        from ondevice.tui.run import run

        demo, home = wish
        return run(home=home, demo=demo, lock=True)
    from ondevice.cli.main import run as run_cli

    return run_cli(arguments or ["recommend", "--plain"], lock=True)


def on_terminal() -> bool:
    """Whether a person sits at both ends and the terminal can draw."""
    both = sys.stdin.isatty() and sys.stdout.isatty()
    return both and os.environ.get("TERM", "dumb") != "dumb"


def tui_wish(arguments: Sequence[str]) -> tuple[bool, Path | None] | None:
    """Read `[demo] [--home DIR]` as (demo, home); anything else belongs to the CLI: None."""
    demo, home, rest = False, None, list(arguments)
    if rest[:1] == ["demo"]:
        demo, rest = True, rest[1:]
    while rest:
        head = rest.pop(0)
        if head == _TAKES_VALUE and rest:
            home = Path(rest.pop(0)).expanduser()
        elif head.startswith(f"{_TAKES_VALUE}="):
            home = Path(head.partition("=")[2]).expanduser()
        else:
            return None
    return demo, home


if __name__ == "__main__":
    sys.exit(main())
