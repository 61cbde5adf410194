"""Changing the store's key, so that what was deleted stays deleted (SECURITY 3, Forgetting).

    1. hold the home; the keybox names the key to come (`next`) and a new generation
    2. close the gate: nobody else is in the database, and whoever comes waits
    3. fold the log; write a copy of the store under the next key; change the copy: delete rows
       (secure_delete asserted), empty what was derived, its journal is deleted
    4. look for what was deleted in the copy's decrypted pages
    5. remove the old log, put the copy in the store's place
    6. the keybox holds the next key alone, under a new pepper; the old pepper is overwritten
    7. open the gate: others find another generation, and open the new file

The copy has no page that held a deleted row, and the store itself is not touched before step 5.
So a full disk, an error or a kill before it leaves everything as it was; a kill after it leaves
the new store, which `recover` gives its keybox. Exactly one of the two keys opens the store at any
time, and `recover` tries which. An old copy of the keybox opens nothing after step 6, since its
pepper is gone; an old copy of the whole home opens what it opened then.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from ondevice import durable
from ondevice.errors import IntegrityError, OnDeviceError
from ondevice.store import files, gate, keybox, migrations, scan
from ondevice.store.connection import Connection, assert_encrypted
from ondevice.store.seal import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from ondevice.paths import Home
    from ondevice.privacy.randomness import Randomness
    from ondevice.store.keybox import Keybox
    from ondevice.store.seal import Seal

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Generic[T]):
    """What a change did, and what must not be found any more."""

    result: T
    gone: Iterable[bytes] = ()  # texts, digests and vectors that were deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What was looked at after a change of the key, and found clean."""

    needles: int
    pages: int
    files: int


def rewrite(
    home: "Home",
    randomness: "Randomness",
    change: Callable[[Connection], Change[T]],
    *,
    reseal: "Callable[[Seal], Seal]" = lambda under: under,
) -> tuple[T, Scanned]:
    """Apply `change` to a copy of the store under a new key, and put it in the store's place.

    Args:
        home: whose store; nothing of it is held open in a transaction here.
        randomness: for the keys.
        change: deletes, inside a transaction of the copy.
        reseal: what else the keybox is sealed under from now on.

    Raises:
        OnDeviceError: the disk doesn't take it, or somebody doesn't end; nothing was changed.
        IntegrityError: the store is damaged, or what was deleted is still there; nothing was
            changed.
    """
    return _exchange(home, randomness, lambda box: _build(home, box, change), reseal)


def erase(home: "Home", randomness: "Randomness", rho: float) -> Scanned:
    """Put an empty store in the store's place, under new keys; the ledger's key stays.

    Args:
        home: whose.
        randomness: for the keys.
        rho: what was released up to now; the keybox goes on to name it.

    Raises:
        OnDeviceError: the disk doesn't take it, or somebody doesn't end; nothing was changed.
    """
    return _exchange(home, randomness, lambda box: _empty(home, box), erasing=rho)[1]


def _exchange(
    home: "Home",
    randomness: "Randomness",
    build: "Callable[[Keybox], tuple[T, Scanned]]",
    reseal: "Callable[[Seal], Seal]" = lambda under: under,
    erasing: float | None = None,
) -> tuple[T, Scanned]:
    try:
        with files.locked(home):
            recover(home, randomness)
            before = keybox.read(home)
            box = replace(
                before,
                generation=before.generation + 1,
                next=randomness.bytes(KEY),
                erasing=erasing,
            )
            keybox.write(home, box, randomness)
            try:
                with gate.closed(home):
                    result, scanned = build(box)
                    _swap(home)
                    return result, _finish(home, box, randomness, scanned, before, reseal)
            except BaseException:
                with suppress(OnDeviceError, OSError):  # else the next one to open does it
                    recover(home, randomness)
                raise
    except OSError as error:
        raise OnDeviceError(
            f"the store could not be written anew: {error.strerror}",
            hint="make room on the disk, then do it again",
        ) from error


def recover(home: "Home", randomness: "Randomness") -> None:
    """Finish or undo a change of the key that was interrupted; the caller holds the home.

    Raises:
        IntegrityError: neither key opens the store.
    """
    keybox.settle(home)
    box = keybox.read(home)
    if box.next is not None and _opens(home, box.next):
        keybox.reseal(home, _settled(box, randomness), randomness)
    elif box.next is not None:
        keybox.write(home, replace(box, next=None, erasing=None), randomness)
    _discard(home)


def copies(home: "Home") -> tuple["Path", ...]:
    """Where the copy is written, and its journal."""
    name = "store.next.db"
    return tuple(home.root / f"{name}{end}" for end in ("", "-journal", "-wal", "-shm"))


def _build(
    home: "Home", box: "Keybox", change: Callable[[Connection], Change[T]]
) -> tuple[T, Scanned]:
    """Write the changed copy, and look through it."""
    copy, key = copies(home)[0], box.next or b""
    live = Connection(home.store, box.store_key)
    try:
        live.fold()
        live.copy_to(copy, key)
    finally:
        live.close()
    changed, needles = _changed(copy, key, change)
    count, hits = scan.found_in_pages(copy, key, needles)
    if hits:  # the rest of a page that was rebuilt: write the used parts alone once more
        _compact(home, key)
        count, hits = scan.found_in_pages(copy, key, needles)
    if hits:
        raise IntegrityError(
            f"{hits} of {len(needles)} things to forget are still in the store",
            hint="nothing was changed; please report this",
        )
    assert_encrypted(copy)
    return changed, Scanned(needles=len(needles), pages=count, files=0)


def _empty(home: "Home", box: "Keybox") -> tuple[None, Scanned]:
    """Write a store without anything in it."""
    copy, key = copies(home)[0], box.next or b""
    connection = Connection(copy, key, private=True)
    try:
        migrations.migrate(connection)
    finally:
        connection.close()
    assert_encrypted(copy)
    return None, Scanned(needles=0, pages=sum(1 for _ in scan.pages(copy, key)), files=0)


def _changed(
    copy: "Path", key: bytes, change: Callable[[Connection], Change[T]]
) -> tuple[T, tuple[bytes, ...]]:
    connection = Connection(copy, key, private=True)
    try:
        if connection.rows("pragma secure_delete") != [(1,)]:
            raise IntegrityError("this SQLite does not overwrite what it deletes")
        with connection.transaction():
            done = change(connection)
        if connection.rows("pragma foreign_key_check"):
            raise IntegrityError("the store would not fit together any more")
        return done.result, scan.pieces(done.gone)
    finally:
        connection.close()


def _compact(home: "Home", key: bytes) -> None:
    copy = copies(home)[0]
    again = copy.with_name("store.again.db")
    again.unlink(missing_ok=True)
    connection = Connection(copy, key, private=True)
    try:
        connection.copy_to(again, key)
    finally:
        connection.close()
    again.replace(copy)


def _swap(home: "Home") -> None:
    """Put the copy in the store's place; the log of the old one is empty and goes first."""
    copy = copies(home)[0]
    durable.sync_file(copy)
    for end in ("-wal", "-shm"):
        (home.root / f"{home.store.name}{end}").unlink(missing_ok=True)
    durable.sync(home.root)
    copy.replace(home.store)
    durable.sync(home.root)


def _finish(
    home: "Home",
    box: "Keybox",
    randomness: "Randomness",
    scanned: Scanned,
    before: "Keybox",
    reseal: "Callable[[Seal], Seal]",
) -> Scanned:
    """Give the store its key, and look for the old one in every file."""
    keybox.reseal(home, _settled(box, randomness), randomness, reseal)
    keys = (before.store_key, before.store_key.hex().encode())
    count, guilty = scan.found_in_files(home, keys)
    if guilty:
        raise IntegrityError(f"the old key is still in {guilty[0]}", hint="please report this")
    return replace(scanned, files=count)


def _settled(box: "Keybox", randomness: "Randomness") -> "Keybox":
    """Return what the keybox holds once the new store is in its place."""
    key = box.next or b""
    if box.erasing is None:
        return replace(box, store_key=key, next=None)
    return keybox.Keybox(
        store_key=key,
        ledger_key=box.ledger_key,
        device_private=randomness.bytes(KEY),
        counter=box.counter + 1,
        generation=box.generation,
        newest=box.newest,
        erased=box.erasing,
    )


def _opens(home: "Home", key: bytes) -> bool:
    with suppress(OnDeviceError):
        for _ in scan.pages(home.store, key):
            return True
    return False


def _discard(home: "Home") -> None:
    drafts = home.root.glob("*.new.key")  # of files that were being replaced when somebody died
    for path in (*copies(home), home.root / "store.again.db", *drafts):
        path.unlink(missing_ok=True)
