"""Files of installed catalogues: replaced at a stroke, and one writer at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ondevice.errors import ConfigError, NotReadyError
from ondevice.paths import Home


def put(path: Path, content: bytes) -> None:
    """Write `content` to `path`: after a crash the old or the new file is there, whole."""
    draft = path.with_name(f"{path.name}.part")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
