"""Start the TUI and return an exit code."""

import sys
from pathlib import Path

from ondevice.errors import OnDeviceError
from ondevice.paths import default_home


def run(*, home: Path | None, demo: bool, lock: bool = False) -> int:
    """Open the TUI on `home` (None: the default, or a throw-away one for the demo).

    Args:
        home: the folder of a person.
        demo: whether to show the sample person instead; `home`, if given, is theirs then.
        lock: whether to lock this whole process first, for good.

    Returns:
        The exit code: 0, or the code of the error that kept the TUI from opening a home.
    """
    if lock:
        try:
            _lock(home, demo=demo)
        except OnDeviceError as error:
            return _tell(error)
    from ondevice.tui.app import RecApp

    app = RecApp(home=home, demo=demo)
    try:
        app.run()
    finally:
        app.close()  # the terminal is back already; a throw-away home goes now
    failure = app.failure
    if failure is None:
        return app.return_code or 0
    return _tell(failure)


def _lock(home: Path | None, *, demo: bool) -> None:
    from ondevice.service.lock import enter

    # The demo can be left for the person's own home, so that one stays open to it as well.
    own = default_home()
    homes = [own] if home is None else [home, own] if demo else [home]
    enter(homes, broker=True, scratch=demo)


def _tell(error: OnDeviceError) -> int:
    sys.stderr.write(f"ondevice-rec: error: {error}\n")
    if error.hint:
        sys.stderr.write(f"ondevice-rec: hint: {error.hint}\n")
    return error.exit_code
