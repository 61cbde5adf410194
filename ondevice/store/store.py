"""The store of one home: opened, checked against its keybox, and handed out by topic."""

import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from ondevice import durable
from ondevice.errors import ConfigError, IntegrityError, NotReadyError, OnDeviceError
from ondevice.paths import Home
from ondevice.store import entries, files, keybox, migrations
from ondevice.store.anchors import Anchors
from ondevice.store.band import RowMaker
from ondevice.store.behaviours import Behaviours
from ondevice.store.connection import SMALLEST, Connection, assert_encrypted
from ondevice.store.emitted import Emitted, Shown, Wishes
from ondevice.store.feedback import Feedback
from ondevice.store.gate import Gate
from ondevice.store.history import History
from ondevice.store.keys import Keys
from ondevice.store.ledger import Ledger
from ondevice.store.record import Entry, Recorded, record
from ondevice.store.releases import Releases
from ondevice.store.ticks import rows_due, tick

if TYPE_CHECKING:
    from datetime import datetime

    from ondevice.privacy.randomness import Randomness
    from ondevice.store.entries import Stream
    from ondevice.store.generation import Change, Scanned
    from ondevice.store.seal import Seal

TOTAL = "ledger.total"  # what an erase leaves: canonical JSON with a MAC (entries.py)
# Files that stay: the empty store, its keys, its gate, and the total.
LEFT = (TOTAL, "keybox", "device.key", "store.lock", "store.db", "store.db-wal", "store.db-shm")
T = TypeVar("T")
CATCH_UP = 4_000  # rows that one call of `tick` makes at most: about five seconds


class Store:
    """Everything that is kept about one person, encrypted. Use `Store.open`.

    Several processes, and several threads, may have it open at once.
    """

    def __init__(self, connection: Connection, home: Home, randomness: "Randomness") -> None:
        self._db = connection
        self.home = home
        self.behaviours = Behaviours(connection)
        self.feedback = Feedback(connection)
        self.ledger = Ledger(connection, home, randomness)
        self.releases = Releases(connection)
        self.emitted = Emitted(connection)
        self.anchors = Anchors(connection)
        self.shown = Shown(connection)
        self.wishes = Wishes(connection)
        self.history = History(connection)
        self.keys = Keys(home, randomness)
        self._randomness = randomness
        self._open = True

    @classmethod
    def open(
        cls, home: Home, *, create: bool = True, randomness: "Randomness | None" = None
    ) -> "Store":
        """Open the store of `home`; make home, keys and store at the first use.

        Args:
            home: where.
            create: whether to make what is missing.
            randomness: for new keys and nonces; the system's by default.

        Raises:
            NotReadyError: nothing there, and not to be created.
            ConfigError: others may read the files; the hint is the command that repairs it.
            RollbackError: the store is older than its keybox.
            IntegrityError: a file is missing, damaged, or belongs to another home.
        """
        if randomness is None:
            from ondevice.privacy.randomness import SystemRandomness

            randomness = SystemRandomness()
        try:
            return _open(cls, home, randomness, create=create)
        except OSError as error:
            raise OnDeviceError(
                f"cannot open {home.root}: {error.strerror}",
                hint="check that you may read and write this folder, or choose another: --home DIR",
            ) from error

    def close(self) -> None:
        """Close, and write down how many rows there are (see ledger.py); twice is fine."""
        if self._open:
            self._open = False
            with suppress(OnDeviceError):  # harmless: the next one to close writes it down
                self._mark_rows()
            self._db.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Commit everything inside, or nothing; other writers wait. Inner ones join."""
        return self._db.transaction()

    def record(self, entry: Entry, make_row: RowMaker | None = None) -> Recorded:
        """Record one behaviour with its row; see `record_many`."""
        return self.record_many([entry], make_row)[0]

    def record_many(
        self, batch: Iterable[Entry], make_row: RowMaker | None = None
    ) -> list[Recorded]:
        """Record behaviours, each with its step and its released row, in one transaction.

        Args:
            batch: in the order in which they enter their streams.
            make_row: draws a row; called inside the transaction (see `RowMaker`).

        Returns:
            One answer per entry, in order. A behaviour that is known already is a duplicate:
            it is not written again, and it never enters a stream a second time.

        Raises:
            ConfigError: a time without a zone, an empty or huge text, a stream without `make_row`.
            FormatError: a step, vector or row that its stream can't hold.
        """
        return record(self._db, batch, make_row)

    def tick(
        self, stream: "Stream", *, now: "datetime", make_row: RowMaker, limit: int = CATCH_UP
    ) -> int:
        """Release the rows of `stream` that are due by `now`, oldest first.

        Args:
            stream: one that takes rows; one that has ended gets none.
            now: the time.
            make_row: draws a row; called inside a transaction (see `RowMaker`).
            limit: rows at most; what is left is made by the next call.

        Returns:
            How many rows were made.
        """
        return tick(self._db, stream, now=now, make_row=make_row, limit=limit)

    def due(self, stream: "Stream", now: "datetime") -> int:
        """Return how many rows of `stream` are due and not made."""
        return rows_due(self._db, stream, now)

    def seen(self, catalogue: str) -> set[str]:
        """Return the items that the person did something with, or gave a verdict on."""
        return self.behaviours.items(catalogue) | self.feedback.items(catalogue)

    def consult(self, look: "Callable[[Connection], T]") -> T:
        """Let `look` read several things as they are at one moment."""
        with self._db.transaction():
            return look(self._db)

    def rewrite(
        self,
        change: "Callable[[Connection], Change[T]]",
        *,
        reseal: "Callable[[Seal], Seal]" = lambda under: under,
    ) -> "tuple[T, Scanned]":
        """Change everything at a stroke, under a new key; see `generation.rewrite`.

        Raises:
            ConfigError: called inside a transaction.
        """
        from ondevice.store import generation

        if self._db.in_transaction:
            raise ConfigError("the store can't be written anew inside a transaction")
        return generation.rewrite(self.home, self._randomness, change, reseal=reseal)

    def erase(self, delta: float) -> "tuple[entries.Total, Scanned]":
        """Delete everything but the ledger's total, in which earlier erases are summed up.

        Returns:
            The total, also written to the home under the ledger's MAC, and what was looked at.
        """
        from ondevice.store import generation

        before = keybox.read(self.home)
        told = entries.open_total(before.ledger_key, self.ledger.total(delta))
        total = replace(told, rho=told.rho + before.erased)
        files.replace(self.home.root / TOTAL, entries.seal_total(before.ledger_key, total))
        scanned = generation.erase(self.home, self._randomness, total.rho)
        for path in self.home.root.iterdir():
            if path.name not in LEFT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return total, scanned

    @property
    def erased(self) -> float:
        """What was released before the last erase, rho."""
        return keybox.read(self.home).erased

    def verify(self) -> int:
        """Read every page, check every constraint and walk the ledger; return its length.

        Raises:
            IntegrityError: something is damaged, missing or altered.
        """
        for check in ("integrity_check", "foreign_key_check"):
            problems = [row for row in self._db.rows(f"pragma {check}") if row != ("ok",)]
            if problems:
                raise IntegrityError(f"the store is damaged: {problems[0]}", hint=entries.BACKUP)
        return self.ledger.verify()

    def _mark_rows(self) -> None:
        counts = self.releases.counts()
        if counts.items() <= keybox.read(self.home).rows.items():
            return
        keybox.update(
            self.home,
            self._randomness,
            lambda box: replace(
                box,
                rows={
                    stream: max(count, box.rows.get(stream, 0)) for stream, count in counts.items()
                },
            ),
        )


def _open(kind: type[Store], home: Home, randomness: "Randomness", *, create: bool) -> Store:
    if not create and not home.keybox.exists() and not home.store.exists():
        raise NotReadyError(
            f"nothing has been recorded in {home.root} yet",
            hint='record something first: ondevice-rec log "what you did"',
        )
    files.make_home(home)
    files.check_modes(home)
    if not home.keybox.exists():
        with files.locked(home):
            if not home.keybox.exists():
                keybox.create(home, randomness)
    if files.next_pepper(home).exists():  # a change of keys was interrupted at its very end
        with files.locked(home):
            keybox.settle(home)
    box = keybox.read(home)
    connection = _connect(home, box, randomness)
    store = kind(connection, home, randomness)
    try:
        _require_fit(store, box)
    except BaseException:
        connection.close()
        raise
    return store


def _require_fit(store: Store, box: keybox.Keybox) -> None:
    """Refuse a store that is older than its keybox."""
    counts = store.releases.counts()
    for stream, accepted in box.rows.items():
        entries.require_rows(counts.get(stream, 0), accepted)
    head = store.ledger.head(box.ledger_key)
    if head.digest in (box.head, box.pending):
        return
    # Another process may have written between the two reads: look again, alone.
    with files.locked(store.home):
        box = keybox.read(store.home)
        entries.require_fit(store.ledger.head(box.ledger_key), box)


def _connect(home: Home, box: keybox.Keybox, randomness: "Randomness") -> Connection:
    """Open the database, and make or upgrade its tables where needed."""
    made = box.counter > 0
    if made and (not home.store.exists() or home.store.stat().st_size < SMALLEST):
        raise IntegrityError(
            f"{home.store} is missing or empty",
            hint=f"{entries.BACKUP}; or begin anew: move {home.root} away",
        )
    if made:
        connection = _gated(home, box, randomness)
        try:
            if not migrations.pending(connection):
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
    with files.locked(home):
        connection = _gated(home, box, randomness)
        try:
            migrations.migrate(connection)
            assert_encrypted(home.store)
            durable.sync(home.root)
            box = keybox.read(home)
            if box.counter == 0:  # from now on a missing store is an old store
                keybox.write(home, replace(box, counter=1), randomness)
        except BaseException:
            connection.close()
            raise
        return connection


def _gated(home: Home, box: keybox.Keybox, randomness: "Randomness") -> Connection:
    return Connection(home.store, box.store_key, gate=Gate(home, randomness))
