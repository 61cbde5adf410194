"""Open a person's own home, or the sample person's."""

from contextlib import AbstractContextManager
from pathlib import Path

from ondevice.service.session import Session


def opening(home: Path | None, *, demo: bool) -> AbstractContextManager[Session]:
    """Return a context manager of `home`, or of the sample person's home when `demo`.

    Raises:
        ConfigError: on entering, when `home` is wrong for it.
    """
    if demo:
        from ondevice.service.demo import demo_session

        return demo_session(home)
    return Session.open(home)
