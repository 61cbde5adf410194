"""Files that appear whole or not at all, and stay when the power goes."""

import os
from pathlib import Path


def put(path: Path, content: bytes, *, mode: int = 0o600, draft: str = ".part") -> None:
    """Write `content` to `path`: after a crash the old or the new file is there, whole.

    Args:
        path: in a folder that exists.
        content: all of it.
        mode: of the file.
        draft: what the file is called besides `path`'s name until it is whole.

    Raises:
        OSError: the disk doesn't take it; what was at `path` is still there.
    """
    unfinished = path.with_name(f"{path.name}{draft}")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Wait until the content of `path` is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
