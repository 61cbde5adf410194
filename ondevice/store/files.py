"""Files that only their owner may read: modes, locks, and replacing one at a stroke."""

import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ondevice import durable
from ondevice.errors import ConfigError, OnDeviceError
from ondevice.paths import Home

_LOOSE = 0o077  # any right of the group or of others
_WAIT_STEP = 0.02  # seconds between two tries to get the lock
_WAIT_TRIES = 1500  # half a minute


class _Held(threading.local):
    """The homes that this thread holds."""

    def __init__(self) -> None:
        self.roots: set[tuple[int, int]] = set()


_HELD = _Held()


def make_home(home: Home) -> None:
    """Create the folder with mode 0700 if it is missing.

    Raises:
        ConfigError: it can't be created.
    """
    try:
        home.root.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            home.root.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"cannot create {home.root}: {error.strerror}",
            hint="choose another folder: --home DIR, or ONDEVICE_HOME",
        ) from error


def next_pepper(home: Home) -> Path:
    """Where a new pepper waits until the keybox is sealed under it."""
    return home.root / "device.next.key"


def check_modes(home: Home) -> None:
    """Refuse a home, or a file of it, that other people on this machine may read or write.

    Raises:
        ConfigError: the hint is the command that repairs it.
    """
    database = home.store.name
    logs = [home.root / f"{database}{ending}" for ending in ("-wal", "-shm")]
    for path in (home.root, home.pepper, next_pepper(home), home.keybox, home.store, *logs):
        folder = path == home.root
        try:
            mode = path.stat().st_mode if folder else path.lstat().st_mode
        except FileNotFoundError:
            continue
        if not (stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)):
            raise ConfigError(
                f"{path} is not an ordinary {'folder' if folder else 'file'}",
                hint="move it away, or choose another folder: --home DIR",
            )
        if stat.S_IMODE(mode) & _LOOSE:
            raise ConfigError(
                f"others may open {path} (mode {stat.S_IMODE(mode):04o})",
                hint=f"run: chmod {'700' if folder else '600'} {path}",
            )


def replace(path: Path, content: bytes) -> None:
    """Put `content` at `path`, mode 0600: after a crash the old or the new file is there, whole.

    Raises:
        OnDeviceError: the disk doesn't take it.
    """
    try:
        durable.put(path, content, draft=".new.key")
    except OSError as error:
        raise OnDeviceError(
            f"cannot write {path}: {error.strerror}",
            hint="check that the folder is writable and its disk has room",
        ) from error


def shred(path: Path, content: bytes) -> None:
    """Overwrite `path` in place: what it held is gone, as far as its disk can forget.

    Raises:
        OSError: the disk doesn't take it.
    """
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        os.pwrite(handle, content, 0)
        os.ftruncate(handle, len(content))
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Hold the home alone, against other processes and threads; ends with the process.

    Taken before a transaction of the store, never inside one: so two processes can't wait for
    each other. A thread that holds it already may take it again.

    Raises:
        OnDeviceError: another process holds it for half a minute.
    """
    handle = os.open(home.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        about = os.fstat(handle)
        root = (about.st_dev, about.st_ino)
        if root in _HELD.roots:
            yield
            return
        wait_for(handle, fcntl.LOCK_EX, f"another process holds {home.root}")
        _HELD.roots.add(root)
        try:
            yield
        finally:
            _HELD.roots.discard(root)
    finally:
        os.close(handle)


def wait_for(handle: int, kind: int, otherwise: str) -> None:
    """Take a lock on `handle`, trying for half a minute.

    Raises:
        OnDeviceError: `otherwise`.
    """
    for _ in range(_WAIT_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return
        threading.Event().wait(_WAIT_STEP)
    raise OnDeviceError(otherwise, hint="wait until it has ended, then try again")
