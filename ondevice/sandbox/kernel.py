"""Calls that Python does not have: by number, through the C library."""

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS
DUMPABLE = 4  # PR_SET_DUMPABLE
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


@cache
def _library() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: Any) -> int:
    """Make the system call `number`.

    Raises:
        OSError: it failed; with the kernel's own errno.
    """
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = _library().syscall(ctypes.c_long(number), *given)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def prctl(option: int, value: int) -> None:
    """Set something about this process.

    Raises:
        OSError: the kernel refused.
    """
    given = [ctypes.c_ulong(one) for one in (value, 0, 0, 0)]
    if _library().prctl(ctypes.c_int(option), *given) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def buffer(content: bytes) -> Any:
    """Return `content` as memory that a call can be handed."""
    return ctypes.create_string_buffer(content, len(content))


def address(of: Any) -> int:
    """Return where `of`, a `buffer`, begins."""
    return ctypes.addressof(of)


def threads() -> Sequence[int]:
    """Return the ids of this process's threads (Linux)."""
    return sorted(int(name) for name in os.listdir("/proc/self/task"))  # noqa: PTH208  # no paths
