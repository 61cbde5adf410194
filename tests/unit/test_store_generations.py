"""Generations of one store in one process: reopening, locks of the file, and damage anywhere."""

import fcntl
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondevice.domain import Behaviour, Kind
from ondevice.errors import IntegrityError, OnDeviceError
from ondevice.privacy.randomness import SystemRandomness
from ondevice.store import Entry, Store, files, generation, keybox, migrations
from ondevice.store.connection import Connection, looking_at
from ondevice.store.forget import KEPT, Selection, delete, delete_words, look
from tests.killing import filled, folder_of, forget

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
RANDOM = SystemRandomness()
PAGE = 4096


def behaviour(text: str, **more: object) -> Behaviour:
    return Behaviour(**{"text": text, "kind": Kind.LIKE, "at": AT, **more})  # type: ignore[arg-type]


def holds_locks(path: Path) -> bool:
    """Whether this process holds POSIX locks on `path`, as another process sees it."""
    program = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'r+b')\n"
        "try: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)\n"
        "except OSError: print('held')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout == "held\n"


def test_looking_at_the_file_drops_no_lock(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    filled(home)
    with Store.open(home) as store:
        store.behaviours.count()
        assert holds_locks(home.store)  # SQLite's own, while a log is used
        with looking_at(home.store) as handle:
            assert len(os.pread(handle, 16, 0)) == 16
        Store.open(home).close()
        assert holds_locks(home.store)
    # The probe itself sees that a plain open and close does drop them.
    with Store.open(home) as store:
        store.behaviours.count()
        home.store.open("rb").close()
        assert not holds_locks(home.store)


def test_descriptors_do_not_pile_up(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    filled(home)
    count = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with Store.open(home) as store:
            for _ in range(5):
                with looking_at(home.store) as handle:
                    os.pread(handle, 16, 0)
            store.behaviours.count()
        forget(home)
    assert len(list(Path("/proc/self/fd").iterdir())) == count


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = Store.open(folder_of(tmp_path))
    store.close()
    with pytest.raises(OnDeviceError, match="closed"):
        store.behaviours.count()


def test_the_home_s_lock_may_be_taken_again_by_its_thread(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    Store.open(home).close()
    with files.locked(home):
        with files.locked(home):
            pass
        handle = os.open(home.root, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)


def test_an_announcement_of_the_dead_is_undone_by_whoever_comes(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    filled(home)
    with Store.open(home) as idle:
        idle.behaviours.count()
        box = keybox.read(home)
        with files.locked(home):
            announced = keybox.Keybox(
                **{name: getattr(box, name) for name in box.__slots__}
                | {"next": b"n" * 32, "generation": box.generation + 1}
            )
            keybox.write(home, announced, RANDOM)
        generation.copies(home)[0].write_bytes(b"half")

        assert idle.behaviours.count() == 60

        assert keybox.read(home).next is None
        assert not generation.copies(home)[0].exists()


def test_every_flipped_byte_of_keybox_and_pepper_is_refused(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    Store.open(home).close()
    for path in (home.keybox, home.pepper):
        good = path.read_bytes()
        for at in range(len(good)):
            damaged = bytearray(good)
            damaged[at] ^= 1 << (at % 8)
            path.write_bytes(bytes(damaged))
            with pytest.raises(IntegrityError):
                keybox.read(home)
        path.write_bytes(good)
    assert keybox.read(home).counter == 1


@pytest.mark.slow
def test_every_flipped_byte_of_the_store_is_detected_or_harmless(tmp_path: Path) -> None:
    """One byte in 13 over the whole file, so that every place of a page is hit."""
    from tests.bench.reliability import flip_sweep

    home = folder_of(tmp_path)
    filled(home, keep=40, forget=0)
    tried, detected, wrong = flip_sweep(home, step=13)
    assert tried > 8 * PAGE // 13
    assert wrong == 0
    assert detected >= 0.99 * tried  # what is not detected lies in no page that is read


def test_a_flip_anywhere_in_a_page_is_detected_or_harmless(tmp_path: Path) -> None:
    from tests.bench.reliability import flip_sweep

    home = folder_of(tmp_path)
    filled(home, keep=20, forget=0)
    tried, detected, wrong = flip_sweep(home, step=997)
    assert tried > 50
    assert (detected, wrong) == (tried, 0)


selections = st.one_of(
    st.builds(lambda n: Selection(id=n), st.integers(1, 12)),
    st.builds(lambda s: Selection(source=s), st.sampled_from(["a", "b", "feedback"])),
    st.just(Selection(day=AT.date())),
    st.builds(lambda h: Selection(before=AT.replace(hour=h)), st.integers(0, 23)),
    st.just(Selection(all=True)),
)


@settings(max_examples=25, deadline=None)
@given(selections)
def test_exactly_what_is_named_is_forgotten(
    tmp_path_factory: pytest.TempPathFactory, wanted: Selection
) -> None:
    home = folder_of(tmp_path_factory.mktemp("each"))
    with Store.open(home) as store:
        store.record_many(
            Entry(
                behaviour=behaviour(
                    f"thing {n} of many", source="ab"[n % 2], at=AT.replace(hour=2 * n)
                )
            )
            for n in range(10)
        )
        before = {one.id: one for one in store.history.each()}
        found = store.consult(lambda connection: look(connection, wanted))
        gone, _ = store.rewrite(lambda connection: delete(connection, wanted))
        after = {one.id: one for one in store.history.each()}
    assert gone.behaviours == found.behaviours == len(before) - len(after)
    for number, one in before.items():
        named = (
            wanted.all
            or one.id == wanted.id
            or one.source == wanted.source
            or (wanted.day is not None and one.at.date() == wanted.day)
            or (wanted.before is not None and one.at < wanted.before)
        )
        assert (number not in after) == named
    assert all(before[number] == one for number, one in after.items())


def test_a_verdict_goes_with_its_behaviour_and_with_its_day(tmp_path: Path) -> None:
    from ondevice.domain import Verdict

    with Store.open(folder_of(tmp_path)) as store:
        done = store.record(Entry(behaviour=behaviour("Solaris once more", source="feedback")))
        store.feedback.add("films", "solaris", Verdict.LIKE, at=AT, behaviour=done.id)
        store.feedback.add("films", "stalker", Verdict.HIDE, at=AT)
        store.feedback.add("films", "mirror", Verdict.LIKE, at=AT)
        store.feedback.undo("films", "mirror", at=AT)
        gone, _ = store.rewrite(lambda c: delete(c, Selection(id=done.id)))
        assert (gone.behaviours, gone.verdicts) == (1, 1)
        assert set(store.feedback.current("films")) == {"stalker"}
        gone, _ = store.rewrite(lambda c: delete(c, Selection(day=AT.date())))
        assert (gone.behaviours, gone.verdicts) == (0, 3)
        assert store.feedback.log() == []


def test_words_go_and_the_rest_stays(tmp_path: Path) -> None:
    with Store.open(folder_of(tmp_path)) as store:
        for day in (1, 2, 3):
            store.record(
                Entry(behaviour=behaviour(f"words of day {day}", at=AT.replace(day=day), item="i"))
            )
        limit = AT.replace(day=3)
        count, scanned = store.rewrite(lambda c: delete_words(c, limit))
        assert (count, scanned.needles > 0) == (2, True)
        kept = [(one.text, one.item, one.at.day) for one in store.history.each()]
        assert kept == [(KEPT, None, 1), (KEPT, None, 2), ("words of day 3", "i", 3)]
        assert store.rewrite(lambda c: delete_words(c, limit))[0] == 0
        # What is imported again is still known, and enters no stream a second time.
        again = store.record(
            Entry(behaviour=behaviour("words of day 1", at=AT.replace(day=1), item="i"))
        )
        assert again.duplicate


def test_a_store_of_every_earlier_version_is_upgraded_and_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = migrations.MIGRATIONS
    for count in range(1, len(every)):
        home = folder_of(tmp_path / str(count))
        home.root.parent.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "MIGRATIONS", every[:count])
            files.make_home(home)
            with files.locked(home):
                box = keybox.create(home, RANDOM)
                old = Connection(home.store, box.store_key)
                migrations.migrate(old)
                for number in range(20):
                    old.run(
                        "insert into behaviours (identity, text, kind, at, source) "
                        "values (randomblob(32), ?, 'like', ?, ?)",
                        *(f"old thing {number}", number, "gone" if number % 2 else "kept"),
                    )
                old.run(
                    "insert into feedback (catalogue, item, verdict, at) values ('c','i','hide',1)"
                )
                old.close()
                keybox.write(home, keybox.read(home), RANDOM)
        with Store.open(home) as store:
            store.verify()
            assert store.behaviours.count() == 20
            assert list(store.feedback.current("c")) == ["i"]
        forget(home)
        with Store.open(home) as store:
            assert store.behaviours.count() == 10
            assert migrations.pending(store._db) == ()


def test_erase_leaves_an_empty_store_and_the_total(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    filled(home)
    home.config.write_text("epsilon = 2.0\n")
    before = keybox.read(home)
    with Store.open(home) as store, Store.open(home) as other:
        store.keys.put("group/x", b"k" * 32)
        total, _ = store.erase(1e-6)
        assert (total.rho, other.behaviours.count()) == (0.0, 0)
        assert other.keys.get("group/x") is None
        other.verify()
    after = keybox.read(home)
    assert after.ledger_key == before.ledger_key
    assert after.device_private != before.device_private
    names = {path.name for path in home.root.iterdir()}
    assert names == {"device.key", "keybox", "ledger.total", "store.db", "store.lock"}
