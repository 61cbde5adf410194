"""Forgetting as a whole: killed anywhere, beside others who write, and what is left on the disk."""

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from ondevice.errors import IntegrityError, OnDeviceError
from ondevice.paths import Home
from ondevice.store import Store, generation, keybox, scan
from ondevice.store.connection import Connection
from tests.killing import (
    SECRET,
    filled,
    folder_of,
    forget,
    forgetter,
    kill,
    recorder,
    rest,
    said,
    texts,
)

# Where a process is killed: function, before or after, at which of its calls.
POINTS = [
    ("ondevice.store.keybox:write", "before", 1),  # nothing announced
    ("ondevice.store.keybox:write", "after", 1),  # announced
    ("ondevice.store.connection:Connection.copy_to", "after", 1),
    ("ondevice.store.forget:empty_derived", "after", 1),  # inside the copy's transaction
    ("ondevice.store.scan:found_in_pages", "after", 1),
    ("ondevice.store.generation:_swap", "before", 1),
    ("ondevice.store.generation:_swap", "after", 1),  # the new store, the old keybox
    ("ondevice.store.files:replace", "after", 2),  # the new pepper waits beside the old
    ("ondevice.store.files:replace", "after", 3),  # the keybox is under it
    ("ondevice.store.files:shred", "after", 1),  # the old one is overwritten
    ("ondevice.store.keybox:reseal", "after", 1),
]


def opening_keys(home: Home, keys: list[bytes]) -> int:
    """How many of `keys` open the store."""
    count = 0
    for key in keys:
        try:
            count += bool(next(scan.pages(home.store, key)))
        except IntegrityError:
            continue
    return count


def check(home: Home) -> bool:
    """Whether all is forgotten or nothing is; refuse anything in between."""
    box = keybox.read(home)
    keys = [box.store_key, *([box.next] if box.next else [])]
    assert opening_keys(home, keys) == 1
    kept, gone = texts(home, "kept"), texts(home, "gone")
    assert len(kept) == 30
    assert len(gone) in {0, 30}
    assert keybox.read(home).next is None
    names = {path.name for path in home.root.iterdir()} - {"keybox.new.key"}  # a sealed draft
    assert names == {"device.key", "keybox", "store.db", "store.lock"}
    return not gone


@pytest.mark.parametrize(("point", "when", "number"), POINTS)
def test_killed_at_a_named_point_it_is_all_or_nothing(
    tmp_path: Path, point: str, when: str, number: int
) -> None:
    home = folder_of(tmp_path)
    filled(home)
    process = forgetter(home, point=point, when=when, number=number)
    lines, errors = process.communicate()
    assert process.returncode == -9, (lines, errors)

    done = check(home)

    late = POINTS.index((point, when, number)) >= 6
    assert done == late
    forget(home)  # and it can be done again
    assert check(home)


@pytest.mark.slow
def test_killed_at_a_hundred_random_points_it_is_all_or_nothing(tmp_path: Path) -> None:
    model, home, dice = folder_of(tmp_path / "model"), folder_of(tmp_path), random.Random(7)
    model.root.parent.mkdir()
    filled(model)
    done, acknowledged = 0, 0
    for _ in range(100):
        shutil.rmtree(home.root, ignore_errors=True)
        shutil.copytree(model.root, home.root)
        process = forgetter(home)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(dice.uniform(0.0, 0.35))
        lines = kill(process)
        forgotten = check(home)
        assert forgotten or "forgotten" not in lines
        done, acknowledged = done + forgotten, acknowledged + ("forgotten" in lines)
    assert 3 <= done <= 97, done  # the kills fell before and after
    print(f"{done} of 100 done, {acknowledged} of them acknowledged")


def test_nobody_who_writes_meanwhile_fails_or_loses_anything(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    filled(home)
    with Store.open(home) as idle:
        assert idle.behaviours.count() == 60
        writers = [recorder(home, name, 40) for name in ("left", "right")]
        for process in writers:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for _ in range(3):
            forget(home)
        for process, name in zip(writers, ("left", "right"), strict=True):
            lines, errors = rest(process)
            assert process.returncode == 0, errors
            assert texts(home, name) == set(said(lines))
            assert len(said(lines)) == 40
        # A handle that was open all the time sees the new store, and writes into it.
        assert idle.behaviours.count() == 30 + 80
        idle.verify()
    assert keybox.read(home).generation == 3


def test_two_who_forget_at_once_both_succeed(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    filled(home)
    processes = [forgetter(home) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert check(home)


def test_nothing_forgotten_is_in_any_page_or_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, temporary = folder_of(tmp_path), tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("SQLITE_TMPDIR", str(temporary))
    filled(home, keep=200, forget=400)
    before = keybox.read(home)
    assert scan.found_in_pages(home.store, before.store_key, [SECRET.encode()])[1] == 1
    with Store.open(home) as store:
        store.behaviours.count()  # a log is there while it happens
        forget(home)
        store.behaviours.count()
        after = keybox.read(home)
        needles = [SECRET.encode(), before.store_key, before.store_key.hex().encode()]
        count, guilty = scan.found_in_files(home, needles)
        assert (count >= 6, guilty) == (True, [])  # store, log, its index, keys, the gate
    pages, hits = scan.found_in_pages(home.store, after.store_key, [SECRET.encode()])
    assert pages > 10
    assert hits == 0
    assert after.store_key != before.store_key
    assert scan.found_in_files(temporary, [SECRET.encode()])[1] == []


def test_an_old_keybox_without_its_pepper_is_useless_after_a_forget(tmp_path: Path) -> None:
    home, old = folder_of(tmp_path), tmp_path / "old"
    filled(home)
    shutil.copytree(home.root, old)
    forget(home)

    attack = Home(tmp_path / "attack")
    shutil.copytree(home.root, attack.root)
    shutil.copy(old / "keybox", attack.keybox)  # an old copy, and today's device.key
    with pytest.raises(IntegrityError, match="belongs to another"):
        Store.open(attack)
    # With its own pepper it opens, but not today's store.
    shutil.copy(old / "device.key", attack.pepper)
    with pytest.raises(IntegrityError, match="another key"):
        Store.open(attack)
    # A full backup opens what it opened then.
    assert len(texts(Home(old), "gone")) == 30


def test_an_old_database_is_refused_by_the_new_keybox(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    filled(home)
    old = home.store.read_bytes()
    forget(home)
    home.store.write_bytes(old)
    with pytest.raises(IntegrityError, match="another key"):
        Store.open(home)


def test_a_trace_that_is_still_there_stops_it_and_changes_nothing(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    filled(home)
    before = {path.name: path.read_bytes() for path in (home.store, home.pepper)}
    with (
        Store.open(home) as store,
        pytest.raises(IntegrityError, match="still in the store"),
    ):
        store.rewrite(lambda _: generation.Change(result=None, gone=[b"kept number <3>"]))
    assert check(home) is False
    assert home.pepper.read_bytes() == before["device.key"]


def test_an_error_inside_changes_nothing(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    filled(home)

    def fail(connection: Connection) -> generation.Change[None]:
        connection.run("delete from behaviours")
        raise ZeroDivisionError

    with Store.open(home) as store:
        with pytest.raises(ZeroDivisionError):
            store.rewrite(fail)
        assert store.behaviours.count() == 60
        with store.transaction(), pytest.raises(OnDeviceError, match="inside a transaction"):
            store.rewrite(fail)
    assert check(home) is False


def test_the_scan_finds_what_sqlite_does_not_show_any_more(tmp_path: Path) -> None:
    path, key = tmp_path / "x.db", os.urandom(32)
    connection = Connection(path, key, private=True)
    connection.run("pragma secure_delete=off")
    connection.run("create table t (b text) strict")
    connection.run("insert into t values ('a text that was deleted')")
    connection.run("delete from t")
    assert connection.rows("select * from t") == []
    connection.close()
    assert scan.found_in_pages(path, key, [b"a text that was deleted"])[1] == 1
    assert scan.found_in_files(tmp_path, [b"a text that was deleted"]) == (1, [])
    with pytest.raises(IntegrityError, match="page 1"):
        list(scan.pages(path, bytes(32)))
