"""Start the TUI and return an exit code."""

import sys
from pathlib import Path


def run(*, home: Path | None, demo: bool) -> int:
    """Open the TUI on `home` (None: the default, or a throw-away one for the demo).

    Returns:
        The exit code: 0, or the code of the error that kept the TUI from opening a home.
    """
    from ondevice.tui.app import RecApp

    app = RecApp(home=home, demo=demo)
    try:
        app.run()
    finally:
        app.close()  # the terminal is back already; a throw-away home goes now
    failure = app.failure
    if failure is None:
        return app.return_code or 0
    sys.stderr.write(f"ondevice-rec: error: {failure}\n")
    if failure.hint:
        sys.stderr.write(f"ondevice-rec: hint: {failure.hint}\n")
    return failure.exit_code
