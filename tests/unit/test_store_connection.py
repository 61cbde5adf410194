"""The encrypted file: what it looks like, what opens it, and that damage never passes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ondevice.domain import Behaviour, Kind, Verdict
from ondevice.errors import ConfigError, IntegrityError, OnDeviceError
from ondevice.paths import Home
from ondevice.privacy.randomness import SystemRandomness
from ondevice.store import Entry, Store, keybox
from ondevice.store.connection import PLAIN, Connection, assert_encrypted

KEY = bytes(range(32))
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CANARY = "zebrafinch-4711-canary"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    connection = Connection(tmp_path / "x.db", KEY)
    connection.run("create table t (a integer primary key, b blob) strict")
    yield connection
    connection.close()


def test_the_file_starts_with_a_salt(tmp_path: Path, db: Connection) -> None:
    db.run("insert into t (b) values (?)", b"1")
    db.close()
    path = tmp_path / "x.db"
    assert path.read_bytes()[:16] != PLAIN
    assert_encrypted(path)


def test_the_pragmas_hold(db: Connection) -> None:
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "foreign_keys": 1,
        "temp_store": 2,
        "cipher": "sqlcipher",
    }
    assert {name: db.rows(f"pragma {name}")[0][0] for name in expected} == expected


def test_another_key_does_not_open_it(tmp_path: Path, db: Connection) -> None:
    db.close()
    with pytest.raises(IntegrityError, match="another key") as caught:
        Connection(tmp_path / "x.db", bytes(32))
    assert "backup" in caught.value.hint


def test_a_file_in_the_clear_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.db"
    path.write_bytes(PLAIN + bytes(4080))
    with pytest.raises(IntegrityError, match="not encrypted"):
        Connection(path, KEY)
    path.write_bytes(b"")
    with pytest.raises(IntegrityError, match="not written"):
        assert_encrypted(path)


def insert_and_fail(db: Connection, number: int) -> None:
    with db.transaction():
        db.run("insert into t values (?, null)", number)
        raise ZeroDivisionError


def test_a_transaction_is_all_or_nothing(db: Connection) -> None:
    with pytest.raises(ZeroDivisionError):
        insert_and_fail(db, 1)
    assert db.rows("select a from t") == []
    assert not db.in_transaction


def test_an_inner_transaction_is_undone_alone(db: Connection) -> None:
    with db.transaction():
        db.run("insert into t values (1, null)")
        for number in (2, 3):
            with pytest.raises(ZeroDivisionError):
                insert_and_fail(db, number)
        with db.transaction():
            db.run("insert into t values (4, null)")
    assert db.rows("select a from t") == [(1,), (4,)]


def test_errors_of_the_library_become_ours(db: Connection) -> None:
    db.run("insert into t values (1, null)")
    with pytest.raises(IntegrityError, match="rules"):
        db.run("insert into t values (1, null)")
    with pytest.raises(OnDeviceError, match="failed"):
        db.run("select nonsense from nowhere")
    with pytest.raises(ConfigError, match="surrogate"):
        db.run("select ?", "\ud800")


def test_another_writer_is_waited_for_and_then_named(tmp_path: Path, db: Connection) -> None:
    other = Connection(tmp_path / "x.db", KEY)
    other.run("pragma busy_timeout=20")
    with db.transaction(), pytest.raises(OnDeviceError, match="another process"):
        other.transaction().__enter__()
    with other.transaction():
        other.run("insert into t values (9, null)")
    other.close()
    assert db.rows("select a from t") == [(9,)]


def filled(home: Home, count: int = 60) -> None:
    with Store.open(home) as store:
        store.record_many(
            [
                Entry(
                    behaviour=Behaviour(
                        text=f"{CANARY} {i} " + "long " * 40,
                        kind=Kind.LIKE,
                        at=AT,
                        item=f"item-{CANARY}",
                        catalogue=f"cat-{CANARY}",
                    )
                )
                for i in range(count)
            ]
        )
        store.feedback.add(f"cat-{CANARY}", f"item-{CANARY}", Verdict.LIKE, at=AT)


def read_all(home: Home) -> int:
    with Store.open(home) as store:
        store.verify()
        return len(store.behaviours.recent(1000))


def test_every_flipped_byte_of_a_sample_of_pages_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    filled(home)
    good = home.store.read_bytes()
    assert len(good) >= 8 * 4096
    page = 4096
    spots = [*range(16)]  # the salt
    for start in (0, page, len(good) // page // 2 * page, len(good) - page):
        spots += [start + 16, start + 100, start + 2048]  # content
        spots += [start + page - 80, start + page - 65]  # nonce
        spots += [start + page - 64, start + page - 30, start + page - 17]  # authentication
    for at in spots:
        damaged = bytearray(good)
        damaged[at] ^= 0x40
        home.store.write_bytes(bytes(damaged))
        with pytest.raises(IntegrityError) as caught:
            read_all(home)
        assert caught.value.exit_code == 5, at
        assert caught.value.hint
    home.store.write_bytes(good)
    assert read_all(home) == 60


@pytest.mark.parametrize("keep", [1, 15, 100, 4096, 3 * 4096, 3 * 4096 + 7])
def test_a_cut_file_is_refused(tmp_path: Path, keep: int) -> None:
    home = Home(tmp_path / "home")
    filled(home)
    home.store.write_bytes(home.store.read_bytes()[:keep])
    with pytest.raises(IntegrityError):
        read_all(home)


def test_swapped_pages_are_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    filled(home)
    raw = home.store.read_bytes()
    pages = [raw[i : i + 4096] for i in range(0, len(raw), 4096)]
    pages[2], pages[3] = pages[3], pages[2]
    home.store.write_bytes(b"".join(pages))
    with pytest.raises(IntegrityError):
        read_all(home)


def test_no_file_of_the_home_ever_holds_a_word_in_the_clear(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    needles = [CANARY.encode(), CANARY.encode("utf-16-le"), CANARY.encode().hex().encode()]

    def scan() -> set[str]:
        found = {p.name: p.read_bytes() for p in home.root.iterdir()}
        assert not [n for n, raw in found.items() for needle in needles if needle in raw]
        assert not [n for n, raw in found.items() if PLAIN in raw]
        return set(found)

    filled(home)
    scan()
    with Store.open(home) as store:
        entry = Entry(behaviour=Behaviour(text=f"{CANARY} open", kind=Kind.USE, at=AT))
        store.record(entry)
        assert "store.db-wal" in scan()
        assert any(b.text.startswith(CANARY) for b in store.behaviours.recent(100))
    assert scan() == {"device.key", "keybox", "store.db", "store.lock"}


def test_a_missing_store_is_never_replaced_by_an_empty_one(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    Store.open(home).close()
    for harm in (lambda: home.store.write_bytes(b"x"), home.store.unlink):
        harm()
        with pytest.raises(IntegrityError, match="missing or empty"):
            Store.open(home)


def test_a_store_whose_creation_was_interrupted_is_finished(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.root.mkdir(mode=0o700)
    keybox.create(home, SystemRandomness())
    home.store.touch(mode=0o600)
    filled(home, 2)
    assert read_all(home) == 2
