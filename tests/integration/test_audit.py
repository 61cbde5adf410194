"""The audit on a real home: each thing broken is found by its own check, and by no other."""

import html.parser
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ondevice import clock
from ondevice.audit import mechanism, network
from ondevice.audit.findings import CHECKS, Audit, Finding
from ondevice.audit.network import FORBIDDEN
from ondevice.audit.sarif import as_sarif
from ondevice.domain import Kind
from ondevice.paths import Home
from ondevice.sandbox import lock
from ondevice.service import retention
from ondevice.service.audit import audit, written
from ondevice.service.behave import log_one
from ondevice.service.session import Session
from ondevice.store import keybox
from ondevice.store.connection import Connection
from ondevice.updates import install
from tests.commands import process
from tests.publishing import Publisher, some_items

WORDS = "a very particular evening with astronomers"


@pytest.fixture(scope="module")
def measured() -> Callable[..., list[Finding]]:
    """The mechanism is the same for every home here, and measured elsewhere: n/a in these."""
    return lambda **_: [Finding(id="mechanism.trace", status="n/a", evidence="measured elsewhere")]


@pytest.fixture(scope="module")
def whole(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample person's home, with a catalogue of a publisher and one more behaviour."""
    base = tmp_path_factory.mktemp("audited")
    home = Path(shutil.copytree(sample_home, base / "home"))
    publisher = Publisher(base / "publisher").init(now=clock.now())
    publisher.publish(some_items(), now=clock.now())
    with Session.open(home) as session:
        install.add(session.home, publisher.invite(), keys=session.store.keys, now=clock.now())
        log_one(session, WORDS, kind=Kind.VIEW)
    return home


@pytest.fixture
def world(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "home"))


@dataclass(frozen=True, kw_only=True)
class Damage:
    """How to break one thing about a home, and how to mend it."""

    check: str
    break_it: Callable[[Path], Any]
    mend_it: Callable[[Path], Any]


def flipped(name: str, check: str, at: float = 0.5) -> Damage:
    def flip(home: Path) -> None:
        path = sorted(home.glob(name))[0]
        blob = bytearray(path.read_bytes())
        blob[int(len(blob) * at)] ^= 1
        path.write_bytes(blob)

    return Damage(check=check, break_it=flip, mend_it=flip)


def file(name: str, check: str, content: bytes) -> Damage:
    return Damage(
        check=check,
        break_it=lambda home: (home / name).write_bytes(content),
        mend_it=lambda home: (home / name).unlink(),
    )


def mode(name: str, loose: int, tight: int) -> Damage:
    return Damage(
        check="modes",
        break_it=lambda home: (home / name).chmod(loose),
        mend_it=lambda home: (home / name).chmod(tight),
    )


def older_store() -> Damage:
    """Put back the store as it was before something was charged and recorded."""

    def swap(home: Path) -> None:
        aside, here = home.parent / "newer.db", home / "store.db"
        here.rename(aside)
        (home.parent / "older.db").rename(here)

    def break_it(home: Path) -> None:
        (home.parent / "older.db").write_bytes((home / "store.db").read_bytes())
        (home.parent / "older.db").chmod(0o600)
        with Session.open(home) as session:
            log_one(session, "something that was charged, and is to be forgotten", kind=Kind.LIKE)
        swap(home)

    def mend_it(home: Path) -> None:
        (home / "store.db").unlink()
        (home.parent / "newer.db").rename(home / "store.db")

    return Damage(check="ledger", break_it=break_it, mend_it=mend_it)


def swap_macs(home: Path) -> None:
    """Reverse the code of every ledger entry; done twice, it is as it was."""
    box = keybox.read(Home(home))
    connection = Connection(home / "store.db", box.store_key)
    kept = connection.row("select sql from sqlite_schema where name = 'ledger_stays'")
    assert kept is not None
    connection.run("drop trigger ledger_stays")
    for seq, mac in connection.rows("select seq, mac from ledger"):
        connection.run("update ledger set mac = ? where seq = ?", mac[::-1], seq)
    connection.run(kept[0])
    connection.close()


def keep_one_day(home: Path) -> None:
    (home / "config.toml").write_text("keep_text_days = 1\n")


def forget_what_is_due(home: Path) -> None:
    with Session.open(home) as session:
        retention.enforce(session)
        assert retention.due(session) == 0


DAMAGES = {
    "configuration": file("config.toml", "configuration", b"nonsense = 1\n"),
    "modes of a key": mode("device.key", 0o644, 0o600),
    "modes of the home": mode(".", 0o755, 0o700),
    "modes of the store": mode("store.db", 0o660, 0o600),
    "keybox": flipped("keybox", "keys", 0.9),
    "pepper": flipped("device.key", "keys"),
    "store": flipped("store.db", "store"),
    "store, its salt": flipped("store.db", "store", 0.0),
    "an older store": older_store(),
    "an altered charge": Damage(check="ledger", break_it=swap_macs, mend_it=swap_macs),
    "retention": Damage(check="retention", break_it=keep_one_day, mend_it=forget_what_is_due),
    "words in a note": file("notes.txt", "plaintext", f"… {WORDS} …".encode()),
    "words in UTF-16": file("backup.bin", "plaintext", WORDS.encode("utf-16-le")),
    "a database in the clear": file("copy.db", "plaintext", b"SQLite format 3\0" + bytes(4096)),
    "a shard": flipped("catalogues/rooms/shards/*", "catalogues"),
    "metadata": flipped("catalogues/rooms/versions/*/trust", "catalogues", 0.3),
}


def examined(home: Path, measured: Callable[..., list[Finding]]) -> Audit:
    return audit(home, quick=False, mechanism=measured, loaded=())


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_broken_is_found_and_nothing_else(
    name: str, world: Path, measured: Callable[..., list[Finding]]
) -> None:
    damage = DAMAGES[name]

    damage.break_it(world)
    broken = examined(world, measured)
    damage.mend_it(world)
    mended = examined(world, measured)

    assert broken.failed == (damage.check,)
    assert mended.failed == ()
    assert {one.id for one in mended.findings} - {"mechanism.trace"} == set(CHECKS)
    assert [one.id for one in mended.findings if one.status == "n/a"] == ["mechanism.trace"] + (
        [] if lock.possible().calls else ["lock", "network"]
    )
    for found in (broken, mended):
        for how in ("text", "json", "html", "sarif"):
            text = written(found, how)
            assert WORDS not in text
            assert str(world) not in text


def test_a_lock_that_lets_something_out_is_found() -> None:
    if not lock.possible().calls:
        pytest.skip("this system knows no lock")
    for locked, expected in ((False, "fail"), (True, "pass")):
        prepared = network.prepare(locked=locked)
        assert prepared is not None
        found = network.judge(prepared)
        prepared.close()
        assert found.status == expected, found
        assert found.measured["arrived open"] == 12
        assert bool(found.measured["arrived locked"]) == (not locked)


def test_each_module_that_talks_is_found() -> None:
    for name in FORBIDDEN:
        assert network.modules(["json", name]).status == "fail"
    assert network.modules(["json", "socket", "http"]).status == "pass"


@pytest.mark.parametrize(
    ("level", "possible", "status"),
    [
        (lock.Level(calls=True, files=7), lock.Level(calls=True, files=7), "pass"),
        (lock.Level(calls=True, files=0), lock.Level(calls=True, files=0), "warn"),
        (lock.Level(), lock.Level(calls=True, files=7), "warn"),
        (lock.Level(), lock.Level(), "n/a"),
    ],
)
def test_the_level_is_told_as_it_is(level: lock.Level, possible: lock.Level, status: str) -> None:
    found = network.lock_of(level, possible)

    assert found.status == status
    assert ("not enforced here" in found.evidence) == (status == "n/a")


def test_an_empty_home_has_nothing_to_fail(tmp_path: Path) -> None:
    found = audit(tmp_path / "home", quick=True, mechanism=lambda **_: [], loaded=())

    assert found.failed == ()
    assert not (tmp_path / "home").exists()


def test_the_command(home: Path, tmp_path: Path) -> None:
    """The real thing in its own locked process, healthy: the same bytes twice but for numbers."""
    outputs = []
    for name in ("one.json", "two.json"):
        path = tmp_path / name
        done = process("audit", "--quick", "--format", "json", "--output", path, "--home", home)
        assert done.returncode == 0, done.stderr
        assert done.stdout == b""
        outputs.append(json.loads(path.read_bytes()))
    one, two = outputs

    assert one.pop("measured").keys() == two.pop("measured").keys()
    assert json.dumps(one) == json.dumps(two)
    assert one["schema"] == 1
    states = {check["id"]: check["status"] for check in one["checks"]}
    assert set(states) == set(CHECKS) | set(mechanism.CHECKS)
    assert states["modules"] == "pass"
    if lock.possible().calls:
        assert states["network"] == "pass"
        assert states["lock"] == ("pass" if lock.possible().files else "warn")


def test_the_command_ends_with_5(home: Path, tmp_path: Path) -> None:
    """A module that talks, slipped in from outside, is noticed in the process with the keys."""
    (tmp_path / "sitecustomize.py").write_text("import http.client\n")
    done = process("audit", "--quick", "--home", home, environment={"PYTHONPATH": str(tmp_path)})

    assert done.returncode == 5
    assert b"the audit failed: modules" in done.stderr
    assert b"http.client" in done.stdout


class Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]


def some_audit() -> Audit:
    return Audit(
        findings=(
            Finding(id="store", status="pass", evidence="fine", measured={"pages": 3}),
            Finding(id="keys", status="fail", evidence="<b>&", file="keybox"),
            Finding(id="rollback", status="warn", evidence="maybe"),
            Finding(id="retention", status="n/a", evidence="not yet"),
        ),
        quick=True,
    )


def test_the_page_loads_nothing() -> None:
    text = written(some_audit(), "html")
    page = Page()
    page.feed(text)

    assert page.links == []
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"url\(|@import|https?:", text)
    assert "&lt;b&gt;&amp;" in text
    assert text.index("keybox") < text.index("fine")  # what failed comes first


def test_sarif() -> None:
    document = json.loads(as_sarif(some_audit()))
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]

    assert document["version"] == "2.1.0"
    assert [rule["id"] for rule in rules] == [r["ruleId"] for r in run["results"]]
    for number, result in enumerate(run["results"]):
        assert result["ruleIndex"] == number
        assert result["message"]["text"]
        # A level other than "none" is for the kind "fail" alone (3.27.10).
        assert (result["kind"] == "fail") == (result["level"] != "none")
        for place in result.get("locations", []):
            uri = place["physicalLocation"]["artifactLocation"]["uri"]
            assert not uri.startswith("/")
            assert ":" not in uri
    assert {r["level"] for r in run["results"]} == {"none", "error", "warning"}


def test_json_keeps_numbers_apart() -> None:
    found = json.loads(written(some_audit(), "json"))

    assert found["measured"] == {"store": {"pages": 3}}
    assert found["checks"][0] == {"id": "store", "status": "pass", "evidence": "fine"}
    assert found["checks"][1]["action"]
