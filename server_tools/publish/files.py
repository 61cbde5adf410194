"""Files that appear whole or not at all, and secrets that only their owner may read."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ondevice import durable
from ondevice.errors import ConfigError

_LOOSE = 0o077  # any right of the group or of others


def put(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write `content` to `path`: after a crash the old or the new file is there, whole."""
    durable.put(path, content, mode=mode)


def put_secret(path: Path, content: bytes) -> None:
    """Write `content` for its owner alone; see `put`."""
    put(path, content, mode=0o600)


def read_secret(path: Path) -> bytes:
    """Return the secret at `path`.

    Raises:
        ConfigError: it is missing, or others may read it.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}",
            hint="make keys once with: ondevice-server keys init --repo DIR; or mount the ones "
            "you keep apart",
        ) from error
    if mode & _LOOSE:
        raise ConfigError(f"others may read {path}", hint=f"run: chmod 600 {path}")
    return content


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the only right to change what belongs to the keys in `folder`.

    Raises:
        ConfigError: somebody else is at it.
    """
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"another command is publishing with {folder}", hint="wait until it is done"
            ) from error
        yield
