"""Files of installed catalogues: replaced at a stroke, and one writer at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ondevice.durable import put, sync
from ondevice.errors import ConfigError, NotReadyError
from ondevice.paths import Home

__all__ = ["locked", "put", "sync"]


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Hold the only right to change the catalogues of `home`, whose folder is made if need be.

    Raises:
        NotReadyError: another process is changing them.
        ConfigError: the folder cannot be made.
    """
    try:
        home.root.parent.mkdir(parents=True, exist_ok=True)
        for folder in (home.root, home.catalogues):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        file = (home.catalogues / ".lock").open("w")
    except OSError as error:
        raise ConfigError(
            f"cannot write to {home.catalogues}: {error.strerror}",
            hint="choose another folder: --home DIR, or ONDEVICE_HOME",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise NotReadyError(
                "another process is installing or updating catalogues here",
                hint="wait until it is done",
            ) from error
        yield
