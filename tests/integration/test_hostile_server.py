"""A real HTTP server on loopback that serves a publisher's repository, and misbehaves.

Every attack here is a row of the table in ondevice/docs/security.md: which clause of the TUF
specification it goes against, which error ends it, and how many bytes the device accepted: none.
"""

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata

from ondevice.errors import OnDeviceError
from ondevice.updates import fetch, install
from ondevice.updates.fetch import Patience
from server_tools.publish import keys, members
from server_tools.publish.devices import Device as Enrolled
from tests.publishing import NOW, Device, Publisher, snapshot, some_items

DOCS = Path(__file__).resolve().parents[2] / "ondevice" / "docs" / "security.md"
LATER = NOW + timedelta(days=3)
HASTE = Patience(stall=0.5, grace=0.2, floor=20_000.0)
ENDLESS = 64 << 20  # bytes after which the server itself gives up
ROW = re.compile(r"^\| ([\w-]+) \| ([^|]+) \| `([^`]+)` \| (\w+) \| (\d) \| (\d+) \|$", re.M)


class Host(ThreadingHTTPServer):
    """Serves `folder`; `answer` may take over for any path."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.answer: Callable[[Handler, bytes], bool] = lambda _, __: False
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One answer."""

    protocol_version = "HTTP/1.1"
    server: Host

    def do_GET(self) -> None:
        path = self.server.folder / self.path.lstrip("/")
        body = path.read_bytes() if path.is_file() else None
        with suppress(OSError):
            if self.server.answer(self, body or b""):
                return
            if body is None:
                self.give(b"", status=404)
            else:
                self.give(body)

    def give(self, body: bytes, *, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", headers.pop("length", str(len(body))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.server.sent += len(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@dataclass
class World:
    """A publisher, its hostile host, and a device that has version 1."""

    publisher: Publisher
    host: Host
    device: Device
    now: datetime = LATER

    @property
    def metadata(self) -> Path:
        return self.publisher.repo / "metadata"

    def load(self, name: str) -> Metadata[Any]:
        return Metadata[Any].from_bytes((self.metadata / name).read_bytes())

    def forge(self, name: str, change: Callable[[Any], None], *by: Any) -> None:
        """Change what `name` says, and sign it by keys that somebody else has."""
        forged = self.load(name)
        change(forged.signed)
        (self.metadata / name).write_bytes(keys.sign(forged, by))

    def key(self, role: str) -> Any:
        return keys.signer(keys.folder(self.publisher.repo) / f"{role}.key")

    def publish(self, changed: int) -> None:
        self.publisher.publish(some_items(changed=changed), now=LATER)

    def update(self) -> int:
        return install.update(self.device.home, "rooms", keys=self.device.keys, now=self.now).after


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(fetch, "PATIENT", HASTE)
    for name in ("fetch", "fetch_optional", "fetch_to"):
        defaults = {**getattr(fetch, name).__kwdefaults__, "patience": HASTE}
        monkeypatch.setattr(getattr(fetch, name), "__kwdefaults__", defaults)
    publisher = Publisher(tmp_path).init()
    publisher.publish(some_items())
    device = Device(tmp_path / "device")
    enrolled = Enrolled(name="hub", public=device.keys.device_public)
    members.enrol(publisher.repo, enrolled, now=NOW, randomness=publisher.randomness)
    host = Host(publisher.repo)
    thread = threading.Thread(target=host.serve_forever, daemon=True)
    thread.start()
    root = (publisher.repo / "metadata" / "1.root.json").read_bytes()
    assert install.join(device.home, host.url, root, keys=device.keys, now=NOW) == ["rooms"]
    yield World(publisher, host, device)
    host.shutdown()
    host.server_close()
    thread.join(10)


# What the attacker does. Each function prepares it; the device then asks for an update.


def rollback(world: World) -> None:
    """Everything as it was, correctly signed, before the version the device has."""
    old = world.publisher.base / "old"
    shutil.copytree(world.publisher.repo, old)
    world.publish(1)
    assert world.update() == 2
    world.host.folder = old


def freeze(world: World) -> None:
    """The same metadata for ever, until it has expired."""
    world.now = NOW + timedelta(days=8)


def clock_set_back(world: World) -> None:
    """Expired metadata, to a device whose clock was set back behind a time it has seen."""
    world.now = NOW + timedelta(days=8)
    fresh = world.publisher.base / "fresh"
    shutil.copytree(world.publisher.repo, fresh)
    world.publisher.publish(some_items(changed=1), now=NOW + timedelta(days=8))
    assert world.update() == 2
    world.host.folder = fresh
    world.now = NOW


def mix_and_match(world: World) -> None:
    """A snapshot of one version with targets of another."""
    world.publish(1)
    world.publish(2)
    *_, older, newer = sorted(world.metadata.glob("*.targets.json"))
    shutil.copy(older, newer)


def wrong_keys(world: World) -> None:
    """A whole repository, signed by somebody else."""
    stranger = Publisher(world.publisher.base / "stranger").init()
    for changed in (1, 2, 3):
        stranger.publish(some_items(changed=changed), now=LATER)
    world.host.folder = stranger.repo


def stolen_old_key(world: World) -> None:
    """A timestamp signed by a key that was stolen, and has been replaced since."""
    stolen = world.key("timestamp")
    members.rotate(
        world.publisher.repo, "timestamp", now=LATER, randomness=world.publisher.randomness
    )
    world.publish(1)
    assert world.update() == 2

    def later(signed: Any) -> None:
        signed.version += 100

    world.forge("timestamp.json", later, stolen)


def too_few_signatures(world: World) -> None:
    """A root that only the new keys have signed."""
    intruder = keys.make(world.publisher.base, "root", world.publisher.randomness, count=1)

    def taken_over(signed: Any) -> None:
        signed.version += 1
        for keyid in list(signed.roles["root"].keyids):
            signed.revoke_key(keyid, "root")
        signed.add_key(intruder[0].public_key, "root")

    shutil.copy(world.metadata / "1.root.json", world.metadata / "2.root.json")
    world.forge("2.root.json", taken_over, *intruder)


def skipped_root(world: World) -> None:
    """Root 3 in the place of root 2."""
    for _ in range(2):
        members.renew(world.publisher.repo, now=LATER)
    shutil.copy(world.metadata / "3.root.json", world.metadata / "2.root.json")


def other_shard(world: World) -> None:
    """The right name, another file."""
    world.publish(1)
    for path in world.publisher.files(".records-00000"):
        path.write_bytes(path.read_bytes()[::-1])


def endless_data(world: World) -> None:
    """A shard that never ends, with no length said."""
    world.publish(1)

    def answer(handler: Handler, _: bytes) -> bool:
        if "records" not in handler.path:
            return False
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        piece = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
        while handler.server.sent < ENDLESS:
            handler.wfile.write(piece)
            handler.server.sent += len(piece)
        return True

    world.host.answer = answer


def endless_metadata(world: World) -> None:
    """A timestamp that is larger than any may be."""
    world.publish(1)

    def answer(handler: Handler, body: bytes) -> bool:
        if not handler.path.endswith("timestamp.json"):
            return False
        handler.give(body + b" " * (1 << 20))
        return True

    world.host.answer = answer


def slow_drip(world: World) -> None:
    """One byte at a time, just often enough that no time-out fires."""
    world.publish(1)

    def answer(handler: Handler, body: bytes) -> bool:
        if "records" not in handler.path:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for at in range(len(body)):
            handler.wfile.write(body[at : at + 1])
            threading.Event().wait(0.02)
        return True

    world.host.answer = answer


def redirect(world: World) -> None:
    """To another host."""
    world.publish(1)

    def answer(handler: Handler, _: bytes) -> bool:
        handler.give(b"", status=302, Location="http://127.0.0.1:9/elsewhere")
        return True

    world.host.answer = answer


def packed(world: World) -> None:
    """A body in an encoding that was not asked for: a bomb, perhaps."""
    world.publish(1)

    def answer(handler: Handler, body: bytes) -> bool:
        if not handler.path.endswith("timestamp.json"):
            return False
        handler.give(body, Content_Encoding="gzip")
        return True

    world.host.answer = answer


def broken_off(world: World) -> None:
    """Half a shard."""
    world.publish(1)

    def answer(handler: Handler, body: bytes) -> bool:
        if "records" not in handler.path:
            return False
        handler.give(body[: len(body) // 2], length=str(len(body)))
        handler.close_connection = True
        return True

    world.host.answer = answer


def shut_out(world: World) -> None:
    """A version that this device may no longer read."""
    members.revoke(world.publisher.repo, "hub", now=LATER, randomness=world.publisher.randomness)


ATTACKS: dict[str, Callable[[World], None]] = {
    attack.__name__.replace("_", "-"): attack
    for attack in (
        rollback,
        freeze,
        clock_set_back,
        mix_and_match,
        wrong_keys,
        stolen_old_key,
        too_few_signatures,
        skipped_root,
        other_shard,
        endless_data,
        endless_metadata,
        slow_drip,
        redirect,
        packed,
        broken_off,
        shut_out,
    )
}


@dataclass(frozen=True)
class Row:
    """One row of the table in the document."""

    clause: str
    test: str
    error: str
    code: int
    accepted: int


def rows() -> dict[str, Row]:
    return {
        name: Row(clause.strip(), test, error, int(code), int(accepted))
        for name, clause, test, error, code, accepted in ROW.findall(
            DOCS.read_text(encoding="utf-8")
        )
    }


def accepted(before: dict[str, bytes], after: dict[str, bytes]) -> int:
    """Bytes that are in use now and were not before: staging and locks are not in use."""
    return sum(
        len(content)
        for name, content in after.items()
        if not name.startswith(".") and before.get(name) != content
    )


@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_attack(attack: str, world: World) -> None:
    ATTACKS[attack](world)
    before = snapshot(world.device.home.catalogues)
    with pytest.raises(OnDeviceError) as caught:
        world.update()

    said = rows()[attack]
    after = snapshot(world.device.home.catalogues)
    assert (type(caught.value).__name__, caught.value.exit_code) == (said.error, said.code)
    assert accepted(before, after) == said.accepted == 0
    assert caught.value.hint
    assert world.host.sent < ENDLESS
    install.load(world.device.home, "rooms", keys=world.device.keys)  # what it had, it has


def test_without_an_attack_the_update_arrives(world: World) -> None:
    world.publish(1)
    before = snapshot(world.device.home.catalogues)
    assert world.update() == 2
    assert accepted(before, snapshot(world.device.home.catalogues)) > 0


def test_the_document_has_each_attack_and_no_other(request: pytest.FixtureRequest) -> None:
    here = "tests/integration/test_hostile_server.py::test_attack"
    collected = {
        item.nodeid.partition("test_attack[")[2].rstrip("]")
        for item in request.session.items
        if item.nodeid.startswith(f"{here}[")
    }
    table = rows()
    assert set(table) == set(ATTACKS)
    assert not collected or collected <= set(table)
    assert {row.test for row in table.values()} == {here}
