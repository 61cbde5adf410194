"""The one process that may reach the network: forked before the lock, and before any key is read.

Verbs, and no others: `fetch` from an address (into memory, or into staging), `open` the address of
an item that the owner chose, `pass_fd` of the path that the owner typed. It can write nothing but
staging, and it can't read the home it works for. What it says is believed no more than a mirror.

An address is opened by a helper of its own, forked before the broker restricts itself: a browser
that inherited these restrictions would not start.
"""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, Protocol

from ondevice.errors import ConfigError, NotReadyError, OnDeviceError, TrustError
from ondevice.sandbox import kernel, lock, wire
from ondevice.sandbox.wire import Channel

_ERRORS: Mapping[str, type[OnDeviceError]] = {
    kind.__name__: kind for kind in (NotReadyError, TrustError, ConfigError, OnDeviceError)
}
_LONGEST = 2048  # characters of an address
_OPENERS = ("xdg-open", "gio", "open")


class Fetcher(Protocol):
    """What the broker does for `fetch`; given by the caller, used in the broker alone."""

    def fetch_optional(self, url: str, *, limit: int) -> bytes | None:
        """Return what `url` holds, or None."""
        ...

    def fetch_to(self, url: str, target: Path, *, limit: int) -> int:
        """Put what `url` holds into the file `target`."""
        ...

    def bytes_sent(self) -> int:
        """Return how many bytes of requests were written to the network so far."""
        ...


class Broker:
    """The engine's side."""

    def __init__(self, channel: Channel, process: int, staging: Path) -> None:
        self._channel, self._process = channel, process
        self._staging = staging
        self._sent = 0

    @property
    def handle(self) -> int:
        """The descriptor that the lock has to leave open."""
        return self._channel.handle

    def fetch_optional(self, url: str, *, limit: int) -> bytes | None:
        """Return what `url` holds, or None where there is nothing; errors as of the fetcher."""
        answer, body = self._ask({"verb": "fetch", "url": url, "limit": limit}, limit=limit)
        return body if answer.get("found") else None

    def fetch_to(self, url: str, target: Path, *, limit: int) -> int:
        """Fetch `url` into `target`, a file in staging; return its size."""
        name = target.absolute().relative_to(self._staging).as_posix()
        self._ask({"verb": "fetch", "url": url, "limit": limit, "name": name})
        return target.stat().st_size

    def bytes_sent(self) -> int:
        """Return how many bytes of requests the broker has written to the network so far."""
        return self._sent

    def open_address(self, url: str) -> None:
        """Show the page of an item in the person's browser. This leaves the device.

        Raises:
            ConfigError: not an http(s) address.
            NotReadyError: there is no program for it.
        """
        self._ask({"verb": "open", "url": url})

    def pass_fd(self, path: Path) -> int:
        """Return a descriptor, for reading, of the file that the person typed.

        Raises:
            NotReadyError: it can't be opened.
            ConfigError: it is no regular file, or lies in the home.
        """
        self._ask({"verb": "pass_fd", "path": str(path.absolute())})
        return self._channel.take_handle()

    def close(self) -> None:
        """Hang up; the broker ends by itself."""
        self._channel.close()
        with suppress(ChildProcessError):
            os.waitpid(self._process, os.WNOHANG)

    def _ask(self, order: Mapping[str, Any], *, limit: int = 0) -> tuple[dict[str, Any], bytes]:
        self._channel.send(order)
        answer, body = self._channel.receive(limit=limit)
        sent = answer.get("sent")
        self._sent = max(self._sent, sent) if isinstance(sent, int) else self._sent
        failed = answer.get("error")
        if failed is not None:
            kind = _ERRORS.get(str(failed), OnDeviceError)
            raise kind(_plain(answer.get("message")), hint=_plain(answer.get("hint")))
        return answer, body


def start(home: Path, staging: Path, fetcher: Callable[[], Fetcher]) -> Broker:
    """Fork the broker; call it before the lock and before any key is read.

    Args:
        home: the folder that it must never read.
        staging: the folder in it that it may write.
        fetcher: makes what fetches, in the broker.
    """
    mine, its = wire.pair()
    process = os.fork()
    if process == 0:
        mine.close()
        _live(lambda: _broker(its, home, staging, fetcher))
    its.close()
    return Broker(mine, process, staging)


def _live(work: Callable[[], None]) -> NoReturn:
    """Run `work` as the whole life of a forked process: nothing of the parent's goes on in it."""
    code = 1
    try:
        for one in (signal.SIGINT, signal.SIGQUIT):  # the terminal's; the engine decides
            signal.signal(one, signal.SIG_IGN)
        if sys.platform == "linux":
            kernel.prctl(kernel.DEATH_SIGNAL, signal.SIGTERM)
        null = os.open(os.devnull, os.O_RDWR)
        for handle in (0, 1, 2):
            os.dup2(null, handle)
        work()
        code = 0
    except OnDeviceError:  # the engine has gone
        code = 0
    finally:
        os._exit(code)


def _broker(channel: Channel, home: Path, staging: Path, fetcher: Callable[[], Fetcher]) -> None:
    opener, its = wire.pair()
    if os.fork() == 0:
        opener.close()
        channel.close()
        _live(lambda: _open_for(its))
    its.close()
    lock.apply(
        lock.Plan(
            change=(staging,),
            read=tuple(around(home)),
            keep={channel.handle, opener.handle},
            network=True,
        )
    )
    found = fetcher()
    while True:
        order, _ = channel.receive()
        try:
            _serve(channel, order, found, home=home, staging=staging, opener=opener)
        except OnDeviceError as error:
            kind = next((n for n, k in _ERRORS.items() if isinstance(error, k)), "OnDeviceError")
            channel.send(
                {"error": kind, "message": str(error), "hint": error.hint}
                | {"sent": found.bytes_sent()}
            )


def _serve(
    channel: Channel,
    order: Mapping[str, Any],
    fetcher: Fetcher,
    *,
    home: Path,
    staging: Path,
    opener: Channel,
) -> None:
    match order:
        case {"verb": "fetch", "url": str(url), "limit": int(limit), "name": str(name)}:
            if ".." in Path(name).parts or Path(name).is_absolute():
                raise ConfigError("a file can be fetched into staging only")
            fetcher.fetch_to(url, staging / name, limit=limit)
            channel.send({"sent": fetcher.bytes_sent()})
        case {"verb": "fetch", "url": str(url), "limit": int(limit)}:
            content = fetcher.fetch_optional(url, limit=limit)
            head = {"found": content is not None, "sent": fetcher.bytes_sent()}
            channel.send(head, content or b"")
        case {"verb": "open", "url": str(url)}:
            opener.send({"url": url})
            answer, _ = opener.receive()
            channel.send(answer)
        case {"verb": "pass_fd", "path": str(path)}:
            handle = _readable(Path(path), home)
            channel.send({})
            channel.pass_handle(handle)
            os.close(handle)
        case _:
            raise ConfigError("the broker has no such verb")


def _readable(path: Path, home: Path) -> int:
    try:
        real = path.resolve(strict=True)
        if real == home or home in real.parents:
            raise ConfigError(f"{path} lies in the home itself", hint="name a file outside it")
        handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotReadyError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ConfigError(f"{path} is no ordinary file")
    return handle


def around(home: Path) -> list[Path]:
    """Return everything that is not `home`, without naming anything in it: its siblings, and those
    of each folder around it. What is made beside these later is not in it.
    """  # noqa: D205  # one sentence, two lines
    found: list[Path] = []
    inner = home.resolve()
    for folder in inner.parents:
        with suppress(OSError):
            found += [one for one in folder.iterdir() if one != inner and not one.is_symlink()]
        inner = folder
    return found


def _open_for(channel: Channel) -> None:
    """The helper: opens http(s) addresses in the person's browser, and does nothing else."""
    lock.close_inherited({channel.handle})
    while True:
        order, _ = channel.receive()
        try:
            _open(order.get("url"))
            channel.send({})
        except OnDeviceError as error:
            channel.send({"error": type(error).__name__, "message": str(error), "hint": error.hint})


def _open(url: object) -> None:
    """Hand `url` to the desktop's opener."""
    if not isinstance(url, str) or not _is_address(url):
        raise ConfigError("only an http or https address is opened")
    for name in _OPENERS:
        argv = [name, "open", url] if name == "gio" else [name, url]
        with suppress(OSError):
            null = subprocess.DEVNULL
            subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
            return
    raise NotReadyError(
        "there is no program here that opens addresses", hint=f"open it yourself: {url}"
    )


def _is_address(url: str) -> bool:
    printable = url.isascii() and url.isprintable() and " " not in url
    return printable and len(url) <= _LONGEST and url.startswith(("https://", "http://"))


def _plain(text: object) -> str:
    """What the broker says, without anything that a terminal would obey."""
    return "".join(c for c in str(text or "") if c.isprintable())[:_LONGEST]
