"""Every way out that we know, tried from inside: first open, to show that it leads to the sinks,
then locked. Runs in a child of its own (`run`), which tells the outcomes and ends.
"""  # noqa: D205  # one sentence, two lines

import errno
import os
import queue
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ondevice.sandbox import kernel, lock, numbers
from ondevice.sandbox.wire import Channel

LOOPBACK = "127.0.0.1"
WAIT = 5.0  # seconds that an open attempt may take
_QUERY = bytes.fromhex("6f64010000010000000000000a6f6e6465766963652d3107696e76616c69640000010001")
_FAST_OPEN = 0x20000000
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 16, 17, 38, 40)

Attempt = Callable[[], object]


class Ways:
    """The attempts, on sockets that were there before the lock and on new ones."""

    def __init__(self, *, tcp: int, udp: int, unix: bytes) -> None:
        self._tcp, self._udp = (LOOPBACK, tcp), (LOOPBACK, udp)
        self._unix = unix
        self._architecture = numbers.here()
        self._thread = _Old()
        self.renew()

    def renew(self) -> None:
        """Make fresh sockets: what an inherited descriptor would be."""
        self.old = {name: socket.socket(type=socket.SOCK_STREAM) for name in ("one", "two", "six")}
        self.old["udp"] = socket.socket(type=socket.SOCK_DGRAM)
        self.old["unix"] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.old["bound"] = socket.socket(type=socket.SOCK_STREAM)

    @property
    def handles(self) -> set[int]:
        """Descriptors that the lock is to leave open, so that it has to withstand them."""
        return {one.fileno() for one in self.old.values()}

    def all(self) -> Mapping[str, Attempt]:
        """Name → attempt; it returns when it got through, and raises `OSError` otherwise."""
        return {
            "tcp": lambda: socket.create_connection(self._tcp, WAIT).close(),
            "tcp on an older socket": lambda: self.old["one"].connect(self._tcp),
            "tcp fast open": lambda: self.old["two"].sendto(b"out", _FAST_OPEN, self._tcp),
            "listening": lambda: self.old["bound"].bind((LOOPBACK, 0)),
            "udp": lambda: self.old["udp"].sendto(b"out", self._udp),
            "udp by sendmsg": lambda: self.old["udp"].sendmsg([b"out"], [], 0, self._udp),
            "udp by sendmmsg": self._many,
            "dns": self._dns,
            "unix datagram": lambda: self.old["unix"].sendto(b"out", self._unix),
            "system call by number": self._by_number,
            "io_uring": self._ring,
            "another program": self._program,
            "an older thread": lambda: self._thread.do(self._send),
            "a forked process": self._forked,
            "another process's memory": self._memory,
        }

    def _send(self) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as new:
            new.sendto(b"out", self._udp)

    def _dns(self) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as new:
            new.sendto(_QUERY, self._udp)

    def _many(self) -> None:
        name = kernel.buffer(_packed(self._udp))
        text = kernel.buffer(b"out")
        part = kernel.buffer(struct.pack("<QQ", kernel.address(text), 3))
        message = struct.pack(
            "<QI4xQQQQi4xI4x", kernel.address(name), 16, kernel.address(part), 1, 0, 0, 0, 0
        )
        self._call("sendmmsg", self.old["udp"].fileno(), kernel.buffer(message), 1, 0)

    def _by_number(self) -> None:
        name = kernel.buffer(_packed(self._tcp))
        self._call("connect", self.old["six"].fileno(), name, 16)

    def _ring(self) -> None:
        os.close(self._call("io_uring_setup", 1, kernel.buffer(bytes(120))))

    def _memory(self) -> None:
        """Read a word of this very process, by the call that reads any other's."""
        word, copy = kernel.buffer(b"ondevice"), kernel.buffer(bytes(8))
        parts = [kernel.buffer(struct.pack("<QQ", kernel.address(one), 8)) for one in (copy, word)]
        self._call("process_vm_readv", os.getpid(), parts[0], 1, parts[1], 1, 0)

    def _program(self) -> None:
        code = f"import socket as s; s.socket(type=2).sendto(b'out', {self._udp!r})"
        argv = [sys.executable, "-I", "-S", "-c", code]
        process = os.posix_spawn(sys.executable, argv, dict(os.environ))
        _require(os.waitpid(process, 0)[1] == 0)

    def _forked(self) -> None:
        process = os.fork()
        if process == 0:
            code = 1
            try:
                self.old["udp"].sendto(b"out", self._udp)
                code = 0
            finally:
                os._exit(code)
        _require(os.waitpid(process, 0)[1] == 0)

    def _call(self, name: str, *arguments: Any) -> int:
        if self._architecture is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return kernel.call(self._architecture.calls[name], *arguments)


class _Old:
    """A thread that is there before the lock."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Attempt] = queue.SimpleQueue()
        self._outcome: queue.SimpleQueue[OSError | None] = queue.SimpleQueue()
        threading.Thread(target=self._live, daemon=True).start()

    def do(self, attempt: Attempt) -> None:
        self._work.put(attempt)
        failed = self._outcome.get(timeout=WAIT)
        if failed is not None:
            raise failed

    def _live(self) -> None:
        while True:
            try:
                self._work.get()()
                self._outcome.put(None)
            except OSError as error:
                self._outcome.put(error)


def run(channel: Channel, *, tcp: int, udp: int, unix: str, locked: bool = True) -> None:
    """The child: try everything, wait for leave, lock, and try everything again.

    Args:
        channel: to whom to tell.
        tcp: port of the sink on loopback.
        udp: port of the sink on loopback.
        unix: address of the sink, hexadecimal.
        locked: False tries twice without a lock, to show that this is noticed.
    """
    ways = Ways(tcp=tcp, udp=udp, unix=bytes.fromhex(unix))
    channel.send({"outcomes": outcomes(ways.all())})
    channel.receive()
    ways.renew()
    if locked:
        lock.filter_calls({channel.handle} | ways.handles)
    channel.send({"outcomes": outcomes(ways.all()), "families": _families()})


def outcomes(attempts: Mapping[str, Attempt]) -> dict[str, str]:
    """Name → "through", or the name of the error that stopped it."""
    found = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            found[name] = "through"
        except OSError as error:
            found[name] = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return found


def _families() -> Sequence[int]:
    """Return the socket families, of those that we know, that can still be opened."""
    still = []
    for family in _FAMILIES:
        try:
            socket.socket(family, socket.SOCK_DGRAM).close()
            still.append(int(family))
        except OSError as error:
            if error.errno != errno.EPERM:
                still.append(int(family))
    return still


class Sinks:
    """What listens on loopback, and counts."""

    def __init__(self) -> None:
        self._tcp = socket.create_server((LOOPBACK, 0), backlog=32)
        self._udp = socket.socket(type=socket.SOCK_DGRAM)
        self._udp.bind((LOOPBACK, 0))
        self._unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._unix.bind("")  # the kernel finds a name that no file has
        for one in self._all:
            one.settimeout(0)

    @property
    def _all(self) -> tuple[socket.socket, ...]:
        return (self._tcp, self._udp, self._unix)

    @property
    def handles(self) -> set[int]:
        """Their descriptors."""
        return {one.fileno() for one in self._all}

    @property
    def addresses(self) -> dict[str, Any]:
        """Where they listen, as `run` takes it."""
        tcp, udp = (one.getsockname()[1] for one in (self._tcp, self._udp))
        return {"tcp": tcp, "udp": udp, "unix": self._unix.getsockname().hex()}

    def seen(self) -> int:
        """Count and discard what has arrived since the last time: connections and datagrams."""
        count = 0
        for one, take in ((self._tcp, self._accept), (self._udp, None), (self._unix, None)):
            while True:
                try:
                    take() if take else one.recv(1 << 16)
                    count += 1
                except BlockingIOError:
                    break
        return count

    def close(self) -> None:
        """Stop listening."""
        for one in self._all:
            one.close()

    def _accept(self) -> None:
        self._tcp.accept()[0].close()


def _packed(address: tuple[str, int]) -> bytes:
    return struct.pack("<H", socket.AF_INET) + struct.pack(
        ">H4s8x", address[1], socket.inet_aton(address[0])
    )


def _require(done: bool) -> None:  # noqa: FBT001  # an assertion
    if not done:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))
