"""The ledger: charged first, never altered, and no older store passes. Crashes lock nobody out."""

from collections.abc import Callable
from pathlib import Path
from shutil import copyfile

import apsw
import pytest

from ondevice.domain import Behaviour, Kind
from ondevice.errors import (
    ConfigError,
    FormatError,
    IntegrityError,
    RollbackError,
)
from ondevice.paths import Home
from ondevice.store import Entry, Row, Store, Stream, entries, keybox
from tests.ledgers import AT, OTHER, SPACE, D, opened, parameters


def ensured(store: Store, *, space: str = SPACE, epsilon: float = 4.0) -> Stream:
    return store.ledger.ensure_stream(
        space=space,
        unit="behaviour",
        parameters=parameters(epsilon),
        cap_epsilon=4.0,
        cap_delta=1e-6,
        at=AT,
    )


def step(store: Store, stream: Stream, name: str) -> None:
    store.record(
        Entry(behaviour=Behaviour(text=name, kind=Kind.USE, at=AT), stream=stream, step=(1, 2, 3)),
        lambda stream, inputs, state: Row(y=(0,) * D, state=b"state"),
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


# --- what an entry says --------------------------------------------------------------------------


def test_a_stream_survives_as_it_was_opened(home: Home) -> None:
    with Store.open(home) as store:
        first = opened(store)
    with Store.open(home) as store:
        assert store.ledger.streams() == [first]
        assert first.parameters == parameters()
        assert (first.space, first.unit, first.opened) == (SPACE, "behaviour", AT)
        assert store.verify() == 1


def test_the_same_question_gets_the_same_stream_and_a_restart_a_new_one(home: Home) -> None:
    with Store.open(home) as store:
        first = ensured(store)
        assert ensured(store) == first
        second = opened(store)  # restart
        assert second.id == first.id + 1
        assert ensured(store) == second == store.ledger.current(SPACE)
        changed = ensured(store, epsilon=1.0)
        assert changed.parameters != first.parameters
        assert ensured(store, space=OTHER).space == OTHER
        assert store.ledger.current("00" * 32) is None
        assert store.verify() == 4


@pytest.mark.parametrize(
    "wrong", [{"unit": "week"}, {"space": "ab"}, {"space": "AB" * 32}, {"space": SPACE + "\n"}]
)
def test_nonsense_is_not_charged(home: Home, wrong: dict[str, str]) -> None:
    with Store.open(home) as store:
        with pytest.raises(ConfigError):
            opened(store, **wrong)  # type: ignore[arg-type]  # on purpose
        assert store.ledger.streams() == []


def test_a_stream_is_not_opened_inside_a_transaction(home: Home) -> None:
    with Store.open(home) as store, store.transaction(), pytest.raises(ConfigError):
        opened(store)


def test_a_body_that_says_something_else_is_refused() -> None:
    good = entries.write(
        space=SPACE, unit="behaviour", parameters=parameters(), counter=2, at=AT
    ).decode()
    assert entries.read(1, good.encode()).parameters == parameters()
    for before, after in [
        ('"entry":"stream"', '"entry":"gift"'),
        ('"unit":"behaviour"', '"unit":"week"'),
        (f'"sigma2":{parameters().sigma2}', '"sigma2":1'),
        (f'"dimension":{D}', f'"dimension":{D + 1}'),
        (f'"dimension":{D}', '"dimension":"3"'),
        ('"clip"', '"clap"'),
        ('"coefficients"', '"efficients"'),
        ('"at":', '"at":-'),
        ("{", ""),
    ]:
        assert before in good
        with pytest.raises(FormatError):
            entries.read(1, good.replace(before, after, 1).encode())


# --- nothing is altered --------------------------------------------------------------------------


def raw(home: Home) -> apsw.Connection:
    """The file, opened by someone who has the keys and no respect."""
    box = keybox.read(home)
    connection = apsw.Connection(str(home.store))
    for pragma in ("cipher='sqlcipher'", "legacy=4", f"key=\"x'{box.store_key.hex()}'\""):
        connection.execute(f"pragma {pragma}").fetchall()
    triggers = connection.execute(
        "select name from sqlite_schema where type = 'trigger'"
    ).fetchall()
    for (name,) in triggers:
        connection.execute(f"drop trigger {name}")
    return connection


@pytest.mark.parametrize(
    "tampering",
    [
        "update ledger set body = cast(replace(cast(body as text), 'behaviour', 'day') as blob) "
        "where seq = 1",
        "update ledger set mac = zeroblob(32) where seq = 1",
        "update ledger set digest = zeroblob(32) where seq = 1",
        "update ledger set mac = (select mac from ledger where seq = 1) where seq = 2",
        "delete from ledger where seq = 2",
        "delete from ledger where seq = 3",
        "update ledger set seq = -1 where seq = 2; update ledger set seq = 2 where seq = 3",
        "delete from steps where t = 2; delete from released where t = 2",
        "delete from steps where t = 1; delete from released where t = 1",
        "delete from steps where t = 1",
        "update released set y = zeroblob(16) where t = 1",
        "insert into released values (99, 1, zeroblob(24))",
    ],
)
def test_what_was_altered_is_found(home: Home, tampering: str) -> None:
    with Store.open(home) as store:
        stream = opened(store)
        opened(store, space=OTHER)
        opened(store)
        for name in ("one", "two", "three"):
            step(store, stream, name)
        assert store.verify() == 3
    connection = raw(home)
    connection.execute("pragma ignore_check_constraints=on").fetchall()
    connection.execute(tampering).fetchall()
    connection.close()

    with pytest.raises(IntegrityError) as caught, Store.open(home) as store:
        store.verify()
    assert caught.value.exit_code == 5


# --- older stores --------------------------------------------------------------------------------


def test_a_store_older_than_its_keybox_is_refused(home: Home, tmp_path: Path) -> None:
    with Store.open(home) as store:
        opened(store)
    copyfile(home.store, tmp_path / "old")
    with Store.open(home) as store:
        opened(store, space=OTHER)
    copyfile(home.store, tmp_path / "new")

    home.store.write_bytes((tmp_path / "old").read_bytes())
    with pytest.raises(RollbackError) as caught:
        Store.open(home)
    assert (caught.value.offered, caught.value.accepted, caught.value.exit_code) == (2, 3, 5)
    assert "newest" in caught.value.hint

    home.store.write_bytes((tmp_path / "new").read_bytes())
    Store.open(home).close()


def test_a_store_that_lost_rows_of_a_closed_session_is_refused(home: Home, tmp_path: Path) -> None:
    with Store.open(home) as store:
        step(store, opened(store), "one")
    copyfile(home.store, tmp_path / "old")
    with Store.open(home) as store:
        step(store, ensured(store), "two")
    home.store.write_bytes((tmp_path / "old").read_bytes())
    with pytest.raises(RollbackError) as caught:
        Store.open(home)
    assert (caught.value.offered, caught.value.accepted) == (1, 2)


def test_an_older_keybox_is_refused(home: Home, tmp_path: Path) -> None:
    with Store.open(home) as store:
        opened(store)
    copyfile(home.keybox, tmp_path / "old")
    with Store.open(home) as store:
        opened(store, space=OTHER)
    home.keybox.write_bytes((tmp_path / "old").read_bytes())
    with pytest.raises(IntegrityError, match="keybox is older"):
        Store.open(home)


def test_an_older_store_with_its_older_keybox_cannot_be_told_from_a_crash(
    home: Home, tmp_path: Path
) -> None:
    """PRIVACY 4: nothing inside a home can tell; whoever has another copy outside must.

    The device's key never changes, so store and keybox together are the whole home. Opening is
    allowed, and the audit warns of it (`rollback`).
    """
    with Store.open(home) as store:
        opened(store)
    for name in ("store.db", "keybox"):
        copyfile(home.root / name, tmp_path / name)
    with Store.open(home) as store:
        step(store, opened(store, space=OTHER), "one")
    for name in ("store.db", "keybox"):
        (home.root / name).write_bytes((tmp_path / name).read_bytes())
    with Store.open(home) as store:
        assert store.verify() == 1


def test_an_older_whole_home_opens_and_the_audit_warns(home: Home, tmp_path: Path) -> None:
    from shutil import copytree, rmtree

    from ondevice.audit.home import examine

    with Store.open(home) as store:
        step(store, opened(store), "one")
    copytree(home.root, tmp_path / "older")
    with Store.open(home) as store:
        step(store, ensured(store), "two")
    rmtree(home.root)
    copytree(tmp_path / "older", home.root)
    with Store.open(home) as store:
        assert store.behaviours.count() == 1
    found = examine(home, now=AT, protection=lambda: ["device.key"])
    (warned,) = [one for one in found.findings if one.id == "rollback"]
    assert warned.status == "warn"
    assert "can't be told" in warned.evidence


def test_the_keybox_and_key_of_another_home_do_not_open_it(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    for each in (home, other):
        with Store.open(each) as store:
            opened(store)
    for name in ("keybox", "device.key"):
        copyfile(other.root / name, home.root / name)
    with pytest.raises(IntegrityError, match="another key"):
        Store.open(home)


# --- crashes -------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for the end of the process at one spot."""


def killed_at_write(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die at the `number`th writing of the keybox, before it happens."""
    real, calls = keybox.write, []

    def write(*args: object) -> None:
        calls.append(1)
        if len(calls) == number:
            raise Killed
        real(*args)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(keybox, "write", write)


def die_before_bump(monkeypatch: pytest.MonkeyPatch) -> None:
    killed_at_write(1, monkeypatch)


def die_before_insert(monkeypatch: pytest.MonkeyPatch) -> None:
    def mac(key: bytes, digest: bytes) -> bytes:
        raise Killed

    monkeypatch.setattr(entries, "mac", mac)


def die_before_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    killed_at_write(2, monkeypatch)


@pytest.mark.parametrize(
    ("die", "entries_left", "counter"),
    [(die_before_bump, 0, 1), (die_before_insert, 0, 2), (die_before_settling, 1, 2)],
)
def test_a_crash_in_the_middle_locks_nobody_out_and_hides_no_cost(
    home: Home,
    die: Callable[[pytest.MonkeyPatch], None],
    entries_left: int,
    counter: int,
) -> None:
    for _ in range(3):  # crashes may follow each other
        with Store.open(home) as store, pytest.MonkeyPatch.context() as patch:
            before = len(store.ledger.streams())
            die(patch)
            with pytest.raises(Killed):
                opened(store)
        with Store.open(home) as store:
            assert store.verify() == len(store.ledger.streams()) == before + entries_left
    assert keybox.read(home).counter == 1 + 3 * (counter - 1)

    with Store.open(home) as store:
        step(store, ensured(store), "after all")
        assert store.verify() == max(1, 3 * entries_left)
    assert keybox.read(home).pending is None


def test_a_stream_is_settled_before_it_is_handed_out(home: Home) -> None:
    with Store.open(home) as store, pytest.MonkeyPatch.context() as patch:
        die_before_settling(patch)
        with pytest.raises(Killed):
            opened(store)
    box = keybox.read(home)
    assert box.pending is not None
    assert box.head == keybox.NO_HEAD

    with Store.open(home) as store:
        assert keybox.read(home).pending is not None  # opening alone writes nothing
        with store.transaction(), pytest.raises(ConfigError):
            store.ledger.streams()
        stream = store.ledger.streams()[0]
        settled = keybox.read(home)
        assert (settled.head, settled.pending) == (box.pending, None)
        step(store, stream, "one")


def test_no_store_without_an_entry_that_paid_for_a_row_is_accepted(
    home: Home, tmp_path: Path
) -> None:
    """The gap of one entry: whatever happened between, once a row exists it is closed."""
    Store.open(home).close()
    copyfile(home.store, tmp_path / "before")
    with Store.open(home) as store, pytest.MonkeyPatch.context() as patch:
        die_before_settling(patch)
        with pytest.raises(Killed):
            opened(store)
    copyfile(home.store, tmp_path / "paid")

    home.store.write_bytes((tmp_path / "before").read_bytes())
    with Store.open(home) as store:
        assert store.ledger.streams() == []  # never used: nothing was released under it

    home.store.write_bytes((tmp_path / "paid").read_bytes())
    with Store.open(home) as store:
        step(store, ensured(store), "one")
    home.store.write_bytes((tmp_path / "before").read_bytes())
    with pytest.raises(RollbackError):
        Store.open(home)
