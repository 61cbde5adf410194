"""Who fetches for this process: the network door itself, or a broker outside of its lock.

A locked process can reach no network. It has been given a broker before, which is believed no
more than any mirror: whatever it brings is verified by whoever asked.
"""

from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from ondevice.errors import NotReadyError


class Door(Protocol):
    """What fetches; `updates.fetch` is one."""

    def fetch_optional(self, url: str, *, limit: int) -> bytes | None:
        """Return what `url` holds, at most `limit` bytes; None where there is no such file."""
        ...

    def fetch_to(self, url: str, target: Path, *, limit: int) -> int:
        """Fetch `url` into the file `target`, which appears whole or not at all."""
        ...

    def bytes_sent(self) -> int:
        """Return how many bytes of requests were written to the network so far."""
        ...


_given: Door | None = None


def use(door: Door) -> None:
    """From now on let `door` fetch for this process."""
    global _given  # noqa: PLW0603  # a fact about the process, as its lock is
    _given = door


def fetch_optional(url: str, *, limit: int) -> bytes | None:
    """Return what `url` holds, or None; errors as `updates.fetch`."""
    return _door().fetch_optional(url, limit=limit)


def fetch(url: str, *, limit: int) -> bytes:
    """Return what `url` holds; errors as `updates.fetch`."""
    content = fetch_optional(url, limit=limit)
    if content is None:
        raise NotReadyError(
            f"{url} is not there",
            hint="the publisher may be uploading: retry, or check the address",
        )
    return content


def fetch_to(url: str, target: Path, *, limit: int) -> int:
    """Fetch `url` into `target` and return its size; errors as `updates.fetch`."""
    return _door().fetch_to(url, target, limit=limit)


def bytes_sent() -> int:
    """Return how many bytes of requests have left this device for this process so far."""
    return _given.bytes_sent() if _given is not None else _of_this_process()


def join(base: str, *names: str) -> str:
    """Return the address of a file below `base`; `names` are quoted, one path segment each."""
    return "/".join((base.rstrip("/"), *(quote(name, safe="") for name in names)))


def _door() -> Door:
    if _given is not None:
        return _given
    from ondevice.updates import fetch as direct

    return direct


def _of_this_process() -> int:
    import sys

    direct = sys.modules.get("ondevice.updates.fetch")
    return int(direct.bytes_sent()) if direct else 0
