"""The schema: made from nothing, made once, and strict about what matters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ondevice.errors import IntegrityError
from ondevice.paths import Home
from ondevice.store import Store, migrations
from ondevice.store.connection import Connection

KEY = bytes(32)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    connection = Connection(tmp_path / "x.db", KEY)
    migrations.migrate(connection)
    yield connection
    connection.close()


def schema(connection: Connection) -> list[tuple[str, str]]:
    return connection.rows("select name, sql from sqlite_schema order by name")


def test_an_empty_file_becomes_the_whole_schema(db: Connection) -> None:
    tables = {name for (name,) in db.rows("select name from sqlite_schema where type = 'table'")}
    wanted = {"behaviours", "ledger", "released", "decoders", "steps", "feedback", "emitted"}
    assert tables >= wanted | {"waiting", "older", "carryovers", "anchors"}
    assert migrations.pending(db) == ()


def test_every_table_is_strict(db: Connection) -> None:
    listed = db.rows("select name, strict from pragma_table_list where schema = 'main'")
    assert {name for name, strict in listed if not strict} <= {"sqlite_schema", "sqlite_sequence"}


def test_doing_it_again_changes_nothing(db: Connection) -> None:
    before = schema(db), db.rows("select * from migrations")
    migrations.migrate(db)
    assert (schema(db), db.rows("select * from migrations")) == before


def test_names_are_unique_and_the_first_stays_the_first() -> None:
    names = [name for name, _ in migrations.MIGRATIONS]
    assert names[0] == "first tables"
    assert len(set(names)) == len(names)


def test_a_store_of_a_newer_program_is_refused(db: Connection) -> None:
    db.run("insert into migrations (name) values ('from the future')")
    with pytest.raises(IntegrityError) as caught:
        migrations.pending(db)
    assert "upgrade" in caught.value.hint


def test_a_migration_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (*migrations.MIGRATIONS, ("broken", "create table a (b any) strict; nonsense;"))
    monkeypatch.setattr(migrations, "MIGRATIONS", broken)
    connection = Connection(tmp_path / "y.db", KEY)
    with pytest.raises(Exception, match="nonsense"):
        migrations.migrate(connection)
    assert schema(connection) == []
    connection.close()


def test_a_store_of_an_older_program_is_upgraded_when_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    Store.open(home).close()
    step = ("a later table", "create table later (a integer) strict")
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, step))
    for _ in range(2):
        with Store.open(home) as store:
            store.verify()
            assert store._db.rows("select * from later") == []


LEDGER = "insert into ledger values ({}, x'00', {}, zeroblob(32))"
A, B = "zeroblob(32)", "randomblob(32)"
ROW = "insert into released values (1, {}, zeroblob(8))"
STEP = "insert into steps values (1, {}, {}, {})"
BEHAVIOUR = (
    "insert into behaviours (id, identity, text, kind, at, source) "
    "values ({}, randomblob(32), {}, {}, 0, 'log')"
)
FEEDBACK = (
    "insert into feedback (catalogue, item, verdict, seconds, at, undoes) "
    "values ('c', 'i', {}, {}, 0, {})"
)


@pytest.mark.parametrize(
    "statement",
    [
        LEDGER.format(3, B),  # out of order
        LEDGER.format(2, A),  # a digest twice
        "update ledger set body = x'01'",
        "delete from ledger",
        ROW.format(1),  # a row twice
        ROW.format(3),  # a gap
        "insert into released values (9, 1, zeroblob(8))",  # nobody paid
        "update released set y = zeroblob(16)",
        "delete from released",
        STEP.format(2, "zeroblob(2)", "null"),  # a step without its row
        "insert into waiting values (1, 1, 1, zeroblob(2))",  # for a row that was released
        "insert into waiting values (1, 2, 1, zeroblob(2))",  # of what entered it already
        "insert into carryovers values (1, 1, null)",  # a stream after itself
        "insert into decoders values (1, 2, x'00')",  # a state of a row that isn't there
        BEHAVIOUR.format(7, "''", "'like'"),
        BEHAVIOUR.format(7, "'x'", "'adore'"),
        FEEDBACK.format("'adore'", "null", "null"),
        FEEDBACK.format("'dwell'", "null", "null"),
        FEEDBACK.format("'like'", "3.0", "null"),
        FEEDBACK.format("'undo'", "null", "null"),
        FEEDBACK.format("'undo'", "null", "99"),
        "update feedback set verdict = 'less'",
    ],
)
def test_the_database_itself_refuses(db: Connection, statement: str) -> None:
    db.run(LEDGER.format(1, A))
    db.run(ROW.format(1))
    db.run(BEHAVIOUR.format(1, "'x'", "'like'"))
    db.run(STEP.format(1, "zeroblob(2)", 1))
    db.run(FEEDBACK.format("'like'", "null", "null"))
    with pytest.raises(IntegrityError, match="rules"):
        db.run(statement)


def test_a_behaviour_enters_a_stream_once(db: Connection) -> None:
    db.run(LEDGER.format(1, A))
    db.run(BEHAVIOUR.format(1, "'x'", "'like'"))
    for t in (1, 2):
        db.run(ROW.format(t))
    db.run(STEP.format(1, "zeroblob(2)", 1))
    with pytest.raises(IntegrityError, match="UNIQUE"):
        db.run(STEP.format(2, "zeroblob(2)", 1))


def test_an_older_store_keeps_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
        connection = Connection(tmp_path / "old.db", KEY)
        migrations.migrate(connection)
    connection.run(LEDGER.format(1, A))
    connection.run(BEHAVIOUR.format(1, "'x'", "'like'"))
    for t, x, behaviour in ((1, "x'0102'", 1), (2, "null", "null")):
        connection.run(ROW.format(t))
        connection.run(STEP.format(t, x, behaviour))
    migrations.migrate(connection)
    kept = connection.rows("select stream, t, x, behaviour from steps order by t")
    assert kept == [(1, 1, b"\x01\x02", 1), (1, 2, None, None)]
    assert connection.rows("pragma foreign_key_check") == []
    connection.close()


def test_forgetting_what_was_summed_drops_the_sum(db: Connection) -> None:
    db.run(LEDGER.format(1, A))
    db.run(ROW.format(1))
    db.run(ROW.format(2))
    for number, x in ((1, "null"), (2, "x'0102'")):
        db.run(BEHAVIOUR.format(number, "'x'", "'like'"))
        db.run(STEP.format(number, x, number))
    db.run("insert into older values (1, 1, 1, x'0102030405060708')")
    db.run("delete from behaviours where id = 2")
    assert db.rows("select count, hex(total) from older") == [(1, "0102030405060708")]
    db.run("delete from behaviours where id = 1")
    assert db.rows("select count, hex(total) from older") == [(0, "00" * 8)]


def test_deleting_a_behaviour_empties_its_step(db: Connection) -> None:
    db.run(LEDGER.format(1, A))
    db.run(BEHAVIOUR.format(1, "'x'", "'like'"))
    db.run(ROW.format(1))
    db.run(STEP.format(1, "x'0102'", 1))
    db.run("delete from behaviours where id = 1")
    assert db.rows("select x, behaviour from steps") == [(None, None)]
