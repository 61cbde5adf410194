"""The one door out: read a file of a publisher's static repository, over https or from a folder.

What leaves the device is a GET line, a Host header and a closing header; no user agent, no
cookie, no query. Nothing is followed (redirects), guessed (proxies) or unpacked (encodings).

How a source fails decides the error, because a person acts on each differently:

- offline: the host cannot be reached at all → NotReadyError, the message starts with "offline"
- missing, busy or broken off → NotReadyError
- sends more than it may, or so slowly that it never ends → TrustError
- an address we refuse → ConfigError
"""

import io
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import client
from pathlib import Path
from socket import gaierror, socket
from ssl import SSLError, create_default_context
from stat import S_ISREG
from threading import Lock
from typing import Any, BinaryIO, ClassVar, cast
from urllib.parse import SplitResult, unquote, urlsplit

from ondevice import clock
from ondevice.errors import ConfigError, NotReadyError, TrustError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})  # where plain http is allowed
GONE = frozenset({403, 404, 410})  # some stores answer 403 for a file that is not there
CHUNK = 1 << 16  # bytes asked for at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How slow a source may be before it is given up."""

    stall: float = 15.0  # seconds without a single byte
    grace: float = 15.0  # seconds before the rate counts
    floor: float = 2048.0  # bytes per second, over the whole answer, its headers included


PATIENT = Patience()


def fetch(url: str, *, limit: int, patience: Patience = PATIENT) -> bytes:
    """Return what `url` holds.

    Args:
        url: https://, file://, or http:// on loopback.
        limit: bytes; an answer that is longer is refused, before reading where it says so.
        patience: how slow the source may be.

    Raises:
        NotReadyError: offline, missing, busy, or broken off.
        TrustError: too much, or too slow.
        ConfigError: an address we refuse.
    """
    content = fetch_optional(url, limit=limit, patience=patience)
    if content is None:
        raise _missing(url)
    return content


def fetch_optional(url: str, *, limit: int, patience: Patience = PATIENT) -> bytes | None:
    """Return what `url` holds, or None where its source says that there is no such file.

    Raises:
        NotReadyError, TrustError, ConfigError: as `fetch`, missing apart.
    """
    buffer = io.BytesIO()
    with _opened(url, limit, patience) as chunks:
        if chunks is None:
            return None
        for chunk in chunks:
            buffer.write(chunk)
    return buffer.getvalue()


def fetch_to(url: str, target: Path, *, limit: int, patience: Patience = PATIENT) -> int:
    """Fetch `url` into the file `target`, which appears whole or not at all.

    Returns:
        The number of bytes.

    Raises:
        NotReadyError, TrustError, ConfigError: as `fetch`; `target` is untouched then.
    """
    part = target.with_name(target.name + ".part")
    count = 0
    try:
        with _opened(url, limit, patience) as chunks:
            if chunks is None:
                raise _missing(url)
            with part.open("wb") as file:
                for chunk in chunks:
                    count += file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return count


def bytes_sent() -> int:
    """Return how many bytes of requests this process has written to the network so far."""
    return _Meter.count


def address(where: str) -> str:
    """Return `where` as an address: an address is checked, the path of a folder made one.

    Raises:
        ConfigError: neither an address we accept nor a folder that exists.
    """
    if "://" in where:
        _split(where)
        return where.rstrip("/")
    folder = Path(where).expanduser()
    if not folder.is_dir():
        raise ConfigError(
            f"{where} is neither a folder nor an https:// address",
            hint="give the folder of the repository, or the address that serves it",
        )
    return folder.resolve().as_uri()


@contextmanager
def _opened(url: str, limit: int, patience: Patience) -> Iterator[Iterator[bytes] | None]:
    """Open `url`; the iterator yields at most `limit` bytes, None means that it is missing."""
    parts = _split(url)
    if parts.scheme == "file":
        yield from _open_file(Path(unquote(parts.path)), url, limit)
    else:
        yield from _open_http(parts, url, limit, patience)


def _split(url: str) -> SplitResult:
    """Take `url` apart, or say why it is refused."""
    try:
        parts = urlsplit(url)
        port_is_a_number = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ConfigError(f"{url!r} is not an address: {error}") from error
    host = parts.hostname or ""
    if parts.username is not None or parts.query or parts.fragment or not port_is_a_number:
        raise ConfigError(f"{url!r}: an address has no user, query or fragment here")
    if not url.isascii() or any(c <= " " for c in url):
        raise ConfigError(f"{url!r}: an address is printable ASCII without blanks")
    if parts.scheme == "file" and host in {"", "localhost"}:
        return parts
    if host and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)):
        return parts
    raise ConfigError(
        f"{url!r} is refused", hint="use https://HOST/PATH, or file:///PATH for a local folder"
    )


def _open_file(path: Path, url: str, limit: int) -> Iterator[Iterator[bytes] | None]:
    try:
        mode = path.stat()
        if not S_ISREG(mode.st_mode):
            raise NotReadyError(f"{path} is not a regular file", hint="check the folder's content")
        _refuse_size(mode.st_size, limit, url)
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    except (OSError, ValueError) as error:
        raise NotReadyError(f"cannot read {path}: {error}", hint="check its permissions") from error
    with file:
        yield _bounded(file, limit, url)


def _open_http(
    parts: SplitResult, url: str, limit: int, patience: Patience
) -> Iterator[Iterator[bytes] | None]:
    host = parts.hostname or ""
    connection: client.HTTPConnection
    if parts.scheme == "https":
        context = create_default_context()
        connection = _Https(host, parts.port, timeout=patience.stall, context=context)
    else:
        connection = _Http(host, parts.port, timeout=patience.stall)
    with closing(connection):
        with _explained(url, host):
            _connect(connection, host)
        with _explained(url, host):
            connection.request("GET", parts.path or "/", headers={"Connection": "close"})
            response = client.HTTPResponse(
                cast("socket", _Tap(connection.sock, patience)), method="GET"
            )
            response.begin()
        with closing(response):
            if response.status in GONE:
                yield None
                return
            _refuse_status(response.status, response.getheader("Location"), url)
            encoding = response.getheader("Content-Encoding", "identity").strip().lower()
            if encoding != "identity":
                raise TrustError(
                    f"{host} sent {url} packed ({encoding}), which was not asked for",
                    hint="the publisher's host must serve the files as they are",
                )
            if response.length is not None:
                _refuse_size(response.length, limit, url)
            yield _explained_chunks(response, limit, url, host)


def _connect(connection: client.HTTPConnection, host: str) -> None:
    try:
        connection.connect()
    except TimeoutError as error:  # nobody answers: offline, not slow
        raise _offline(host, error) from error


def _explained_chunks(
    response: client.HTTPResponse, limit: int, url: str, host: str
) -> Iterator[bytes]:
    with _explained(url, host):
        yield from _bounded(cast("BinaryIO", response), limit, url)
        if response.length:  # read1 returns b"" when the other side hangs up early
            raise _broken(url, f"{response.length} bytes are missing")


def _bounded(file: BinaryIO, limit: int, url: str) -> Iterator[bytes]:
    """Yield chunks of `file`; raise as soon as there are more than `limit` bytes."""
    count = 0
    read: Any = getattr(file, "read1", file.read)  # read1: what has come, without waiting for more
    while chunk := read(CHUNK):
        count += len(chunk)
        _refuse_size(count, limit, url)
        yield chunk


def _refuse_size(size: int, limit: int, url: str) -> None:
    if size > limit:
        raise TrustError(
            f"{url} is longer than the {limit:,} bytes it may have",
            hint="nothing of it was used; the source may be damaged: retry later",
        )


def _refuse_status(status: int, location: str | None, url: str) -> None:
    if status == client.OK:
        return
    if 300 <= status < 400:
        raise NotReadyError(
            f"{url} redirects to {location or 'another address'}, which is never followed",
            hint="a network's login page does that too; else ask the publisher for the final one",
        )
    raise NotReadyError(f"{url} answered with status {status}", hint="retry later")


def _missing(url: str) -> NotReadyError:
    return NotReadyError(
        f"{url} is not there", hint="the publisher may be uploading: retry, or check the address"
    )


def _broken(url: str, what: str) -> NotReadyError:
    return NotReadyError(f"{url} broke off: {what}", hint="retry; what arrived whole is kept")


@contextmanager
def _explained(url: str, host: str) -> Iterator[None]:
    """Turn what sockets and http.client raise into our errors."""
    try:
        yield
    except SSLError as error:
        raise TrustError(
            f"{host} could not prove who it is: {error.reason or error}",
            hint="check this device's clock, and the address",
        ) from error
    except (gaierror, ConnectionRefusedError) as error:
        raise _offline(host, error) from error
    except (TimeoutError, ConnectionError, client.IncompleteRead) as error:
        raise _broken(url, repr(error)) from error
    except (client.HTTPException, ValueError) as error:
        raise NotReadyError(
            f"{host} does not answer as a web server does: {error!r}", hint="check the address"
        ) from error
    except OSError as error:  # unreachable network or host, no route
        raise _offline(host, error) from error


def _offline(host: str, error: OSError) -> NotReadyError:
    return NotReadyError(
        f"offline: cannot reach {host} ({error.strerror or error})",
        hint="what is installed keeps working; update when the network is back",
    )


class _Meter:
    """Counts what goes out; mixed into the connections of http.client."""

    count: ClassVar[int] = 0
    _lock: ClassVar[Lock] = Lock()

    def send(self, data: Any) -> None:  # bytes, as we only send heads
        with _Meter._lock:
            _Meter.count += len(data)
        super().send(data)  # type: ignore[misc]  # the connection that this is mixed into


class _Http(_Meter, client.HTTPConnection):
    """Plain http, for loopback."""


class _Https(_Meter, client.HTTPSConnection):
    """The usual one."""


class _Patient(io.RawIOBase):
    """Bytes of a socket, given up when they come too slowly: headers and body alike."""

    def __init__(self, sock: socket, patience: Patience) -> None:
        self._sock, self._patience = sock, patience
        self._started = clock.monotonic()
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._patience.stall)
        try:
            count = self._sock.recv_into(buffer)
        except TimeoutError as error:
            raise self._slow() from error
        self._count += count
        counted = clock.monotonic() - self._started - self._patience.grace
        if count and self._count < counted * self._patience.floor:
            raise self._slow()
        return count

    def _slow(self) -> TrustError:
        seconds = clock.monotonic() - self._started
        return TrustError(
            f"the source sends too slowly: {self._count:,} bytes in {seconds:.0f} s",
            hint="retry later; if it stays so, the source may be holding an update back",
        )


class _Tap:
    """What `HTTPResponse` needs of a socket: a file to read, here a patient one."""

    def __init__(self, sock: socket, patience: Patience) -> None:
        self._sock, self._patience = sock, patience

    def makefile(self, mode: str) -> BinaryIO:
        if mode != "rb":
            raise ValueError(mode)
        return cast("BinaryIO", io.BufferedReader(_Patient(self._sock, self._patience), CHUNK))
