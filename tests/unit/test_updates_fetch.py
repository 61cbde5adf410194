"""The door out, against a real server on loopback that misbehaves in each way we know of."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ondevice.errors import ConfigError, NotReadyError, TrustError
from ondevice.updates import fetch as door
from ondevice.updates.door import join
from ondevice.updates.fetch import Patience, address, fetch, fetch_optional, fetch_to

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
QUICK = Patience(stall=2.0, grace=0.3, floor=2000.0)
Answer = Callable[[socket.socket, threading.Event], None]


class Server:
    """Answers each connection with raw bytes, so that it can break every rule of HTTP."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.stop = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while not self.stop.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(5)
                self.requests.append(connection.recv(1 << 16))
                self.answer(connection, self.stop)

    def close(self) -> None:
        self.stop.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    server = Server(answer)
    try:
        yield server
    finally:
        server.close()


def says(*parts: bytes) -> Answer:
    def answer(connection: socket.socket, stop: threading.Event) -> None:
        for part in parts:
            connection.sendall(part)

    return answer


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def ok(body: bytes, *, length: int | None = None, extra: bytes = b"") -> bytes:
    count = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (count, extra, body)


def dripping(first: bytes, drop: bytes) -> Answer:
    def answer(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(first)
        while not stop.wait(0.02):
            connection.sendall(drop)

    return answer


def test_a_file_arrives_and_the_request_says_nothing_of_the_device(tmp_path: Path) -> None:
    body = os.urandom(300_000)
    before = door.bytes_sent()
    with serving(says(ok(body))) as server:
        assert fetch(f"{server.url}/a/b", limit=len(body)) == body
        assert fetch_to(f"{server.url}/a/b", tmp_path / "f", limit=len(body)) == len(body)

    assert (tmp_path / "f").read_bytes() == body
    assert names(tmp_path) == ["f"]
    lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == "GET /a/b HTTP/1.1"
    headers = {line.partition(":")[0].lower() for line in lines[1:] if line}
    assert headers == {"host", "accept-encoding", "connection"}
    assert "Accept-Encoding: identity" in lines
    assert door.bytes_sent() - before == sum(map(len, server.requests))


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(says(ok(b"here"))) as server:
        assert fetch(server.url, limit=10) == b"here"


def test_more_than_the_limit_is_refused_before_reading(tmp_path: Path) -> None:
    with (
        serving(says(ok(b"", length=1 << 40))) as server,
        pytest.raises(TrustError, match="longer than the 1,000 bytes"),
    ):
        fetch_to(f"{server.url}/big", tmp_path / "f", limit=1000)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("head", "chunk"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n", b"x" * 65536),
        (CHUNKED, b"8000\r\n" + b"y" * 32768 + b"\r\n"),
    ],
    ids=["no length", "chunked"],
)  # fmt: skip
def test_endless_data_is_cut_off(tmp_path: Path, head: bytes, chunk: bytes) -> None:
    sent = []

    def endless(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(head)
        while not stop.is_set():
            connection.sendall(chunk)
            sent.append(len(chunk))

    with (
        serving(endless) as server,
        pytest.raises(TrustError, match="longer than"),
    ):
        fetch_to(server.url, tmp_path / "f", limit=200_000)
    assert names(tmp_path) == []
    assert sum(sent) < 50_000_000


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"."),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"."),
        (CHUNKED, b"1\r\n.\r\n"),
    ],
    ids=["body", "header", "chunks"],
)
def test_a_slow_drip_is_given_up(first: bytes, drop: bytes) -> None:
    with (
        serving(dripping(first, drop)) as server,
        pytest.raises(TrustError, match="sends too slowly"),
    ):
        fetch(server.url, limit=1 << 20, patience=QUICK)


def silent(connection: socket.socket, stop: threading.Event) -> None:
    stop.wait(20)


def test_silence_is_given_up() -> None:
    with (
        serving(silent) as server,
        pytest.raises(TrustError, match="sends too slowly: 0 bytes"),
    ):
        fetch(server.url, limit=100, patience=Patience(stall=0.3))


def test_redirects_are_never_followed() -> None:
    with serving(says(ok(b"secret"))) as other:
        head = f"HTTP/1.1 302 Found\r\nLocation: {other.url}/x\r\nContent-Length: 0\r\n\r\n"
        with (
            serving(says(head.encode())) as server,
            pytest.raises(NotReadyError, match=r"redirects to .*never followed") as caught,
        ):
            fetch(server.url, limit=100)
    assert other.requests == []
    assert caught.value.exit_code == 3


def test_a_body_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with (
        serving(says(ok(b"half", length=1000))) as server,
        pytest.raises(NotReadyError, match="broke off"),
    ):
        fetch_to(server.url, tmp_path / "f", limit=1000)
    assert (tmp_path / "f").read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


def test_chunks_that_break_off() -> None:
    head = CHUNKED + b"5\r\nab"
    with (
        serving(says(head)) as server,
        pytest.raises(NotReadyError, match="broke off"),
    ):
        fetch(server.url, limit=1000)


def test_packed_answers_are_refused() -> None:
    with (
        serving(says(ok(b"1234", extra=b"Content-Encoding: gzip\r\n"))) as server,
        pytest.raises(TrustError, match="packed"),
    ):
        fetch(server.url, limit=100)


@pytest.mark.parametrize(
    "answer", [b"220 smtp ready\r\n", b"\x16\x03\x01\x00", b"HTTP/1.1 abc\r\n\r\n"]
)
def test_something_that_is_no_web_server(answer: bytes) -> None:
    with (
        serving(says(answer)) as server,
        pytest.raises(NotReadyError),
    ):
        fetch(server.url, limit=100)


def test_missing_and_busy() -> None:
    with serving(says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as server:
        assert fetch_optional(f"{server.url}/2.root.json", limit=9) is None
        with pytest.raises(NotReadyError, match="is not there"):
            fetch(f"{server.url}/2.root.json", limit=9)
    with (
        serving(says(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")) as server,
        pytest.raises(NotReadyError, match="status 503"),
    ):
        fetch_optional(server.url, limit=9)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "https://no-such-host.invalid/x"])
def test_offline_says_so_and_is_no_attack(url: str) -> None:
    with pytest.raises(NotReadyError, match=r"^offline: ") as caught:
        fetch(url, limit=9, patience=QUICK)
    assert caught.value.exit_code == 3


def test_a_server_that_cannot_prove_who_it_is() -> None:
    with (
        serving(says(b"HTTP/1.1 200 OK\r\n\r\n")) as server,
        pytest.raises(TrustError, match="could not prove"),
    ):
        fetch(server.url.replace("http:", "https:"), limit=9, patience=QUICK)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "ftp://example.org/x",
        "https:///x",
        "https://user@example.org/x",
        "https://example.org/x?y=1",
        "https://example.org/x#y",
        "https://example.org:99999/x",
        "https://exämple.org/x",
        "https://example.org/x y",
        "https://example.org/x\r\nHost: y",
        "https://[::1/x",
        "file://host/x",
        "/etc/passwd",
        "",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fetch(url, limit=9)
    assert caught.value.exit_code == 2


def test_files(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "f%").write_bytes(b"content")
    base = address(str(folder))

    assert fetch(join(base, "f%"), limit=7) == b"content"
    assert fetch_optional(join(base, "other"), limit=7) is None
    assert fetch_optional(join(base, "f%", "below"), limit=7) is None
    with pytest.raises(TrustError, match="longer than"):
        fetch(join(base, "f%"), limit=6)
    with pytest.raises(NotReadyError, match="not a regular file"):
        fetch(base, limit=7)
    os.mkfifo(folder / "pipe")
    with pytest.raises(NotReadyError, match="not a regular file"):
        fetch(join(base, "pipe"), limit=7)


def test_a_name_cannot_climb_out_of_its_folder() -> None:
    assert join("https://host/repo/", "..", "a/b") == "https://host/repo/../a%2Fb"
    assert join("file:///repo", "a?b#c") == "file:///repo/a%3Fb%23c"


def test_address_of_something_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a folder"):
        address(str(tmp_path / "none"))
    assert address("https://host/repo/") == "https://host/repo"
