"""The ledger: what every stream costs, written before its first row can exist (PRIVACY 4).

Entries (entries.py) are chained, MACed, and never changed or deleted (triggers in migrations.py).
Against an older store the keybox names the newest entry. One write goes:

    1. lock the home, begin the transaction, check the store's head against the keybox
    2. keybox := counter + 1, head = the store's head, pending = the new entry's digest
    3. insert the entry, commit
    4. keybox := head = the new entry, pending = none; unlock; only now a `Stream` is handed out

A store is accepted when its head is the keybox's `head` or `pending`. Killed before 3, the store
still has the old head: accepted, the entry never was, and nothing was released under it. Killed
before 4, the store has the pending head: accepted, and 4 is done before that stream is handed out.
A row needs a `Stream`, so every stream with rows is one that the keybox holds settled: putting
back a store without it is always refused. The gap of one entry is open only for an entry that
paid for nothing yet; it is charged anew when it is opened anew.

Rows are counted too: whoever closes the store writes the number of rows of each stream into the
keybox, and a store with fewer is refused. That mark never runs ahead of the store, so it can't
lock anybody out.

Not covered: an older copy of the whole home (store and keybox together); and an older store that
lacks only rows written since the last close. There, what was charged stays charged, and the bound
holds for every behaviour that is not recorded a second time.

Composition: with unit = behaviour a behaviour enters the stream of one space, so what it is
charged is the sum over the streams it entered, and the profile's cost is the largest such sum
(parallel composition). With unit = day every stream sees every day, so their costs add up.
"""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ondevice.errors import BudgetExhaustedError, ConfigError, IntegrityError
from ondevice.store import entries, files, keybox
from ondevice.store.connection import Connection
from ondevice.store.entries import BACKUP, Head, Stream

if TYPE_CHECKING:
    from ondevice.paths import Home
    from ondevice.privacy.randomness import Randomness
    from ondevice.privacy.stream import StreamParameters


class Ledger:
    """The ledger of one open store."""

    def __init__(self, connection: Connection, home: "Home", randomness: "Randomness") -> None:
        self._db = connection
        self._home = home
        self._randomness = randomness

    def open_stream(
        self,
        *,
        space: str,
        unit: str,
        parameters: "StreamParameters",
        cap_epsilon: float,
        cap_delta: float,
        at: datetime,
    ) -> Stream:
        """Charge for a new, empty stream and return it.

        Args:
            space: digest of the space its steps live in, 64 hex digits.
            unit: what is hidden, "behaviour" or "day".
            parameters: of the mechanism; `parameters.rho` is what each unit is charged.
            cap_epsilon: what the person allows for life, with `cap_delta`.
            cap_delta: see there.
            at: now.

        Raises:
            BudgetExhaustedError: the cap does not allow it.
            ConfigError: another unit, or not a digest; or called inside a transaction.
            IntegrityError: the store does not fit its keybox.
        """
        _check(space, unit)
        return self._open(space, unit, parameters, (cap_epsilon, cap_delta), at, reuse=False)

    def ensure_stream(
        self,
        *,
        space: str,
        unit: str,
        parameters: "StreamParameters",
        cap_epsilon: float,
        cap_delta: float,
        at: datetime,
    ) -> Stream:
        """Return the newest stream of `space` if it has these parameters, else open one.

        Two processes that ask at once get the same one. Arguments and errors as `open_stream`.
        """
        _check(space, unit)
        newest = self.current(space)
        if newest is not None and (newest.unit, newest.parameters) == (unit, parameters):
            return newest
        return self._open(space, unit, parameters, (cap_epsilon, cap_delta), at, reuse=True)

    def streams(self) -> list[Stream]:
        """Return every stream, oldest first.

        Raises:
            IntegrityError: an entry does not carry our MAC.
        """
        found = self._entries()
        box = keybox.read(self._home)  # read after them: no entry found is newer than it
        if found and found[-1][2] == box.pending:
            box = self._settle_left_over()
        for seq, _, digest, given in found:
            entries.require_mac(box.ledger_key, seq=seq, digest=digest, given=given)
        return [entries.read(seq, body) for seq, body, _, _ in found]

    def current(self, space: str) -> Stream | None:
        """Return the newest stream of `space`, or None."""
        own = [stream for stream in self.streams() if stream.space == space]
        return own[-1] if own else None

    def spent(self) -> float:
        """Return rho of the whole profile: what the unit that paid most was charged."""
        return self._composed(self.streams())

    def head(self, ledger_key: bytes) -> Head:
        """Return the newest entry.

        Raises:
            IntegrityError: it does not carry our MAC.
        """
        newest = self._entries("order by seq desc limit 1")
        if not newest:
            return Head()
        seq, body, digest, given = newest[0]
        entries.require_mac(ledger_key, seq=seq, digest=digest, given=given)
        return Head(seq=seq, digest=digest, counter=entries.counter_of(seq, body))

    def verify(self) -> int:
        """Walk the chain and every MAC, and hold the rows against it; return how many entries.

        Raises:
            IntegrityError: something is missing, altered or out of order.
            RollbackError: the store is older than its keybox.
        """
        rows = self._db.rows(
            "select r.stream, count(*), max(r.t), count(s.t), "
            "(select t from decoders where stream = r.stream), min(length(r.y)), max(length(r.y)) "
            "from released r left join steps s on s.stream = r.stream and s.t = r.t "
            "group by r.stream"
        )
        streams = {stream.id: stream for stream in self.streams()}
        previous, counter = keybox.NO_HEAD, 0
        found = self._entries()
        for number, (seq, body, digest, _) in enumerate(found, start=1):
            if seq != number or digest != entries.chain(seq, previous, body):
                raise IntegrityError(f"the ledger is broken at entry {number}", hint=BACKUP)
            if entries.counter_of(seq, body) <= counter:
                raise IntegrityError(f"the counter stands still at entry {seq}", hint=BACKUP)
            previous, counter = digest, entries.counter_of(seq, body)
        box = keybox.read(self._home)
        entries.require_fit(self.head(box.ledger_key), box)
        for stream, count, last, steps, decoded, shortest, longest in rows:
            size = 8 * streams[stream].parameters.dimension
            complete = count == last == steps == decoded
            if not complete or (shortest, longest) != (size, size):
                raise IntegrityError(f"stream {stream} lacks rows or steps", hint=BACKUP)
        return len(found)

    def _open(
        self,
        space: str,
        unit: str,
        parameters: "StreamParameters",
        cap: tuple[float, float],
        at: datetime,
        *,
        reuse: bool,
    ) -> Stream:
        if self._db.in_transaction:
            raise ConfigError("a stream can't be opened inside a transaction")
        with files.locked(self._home):
            with self._db.transaction():
                box = keybox.read(self._home)
                head = self.head(box.ledger_key)
                entries.require_fit(head, box)
                box = self._settled(box, head)
                newest = self.current(space) if reuse else None
                if newest and (newest.unit, newest.parameters) == (unit, parameters):
                    return newest
                self._require_room(unit, parameters, cap)
                seq, counter = head.seq + 1, box.counter + 1
                body = entries.write(
                    space=space, unit=unit, parameters=parameters, counter=counter, at=at
                )
                digest = entries.chain(seq, head.digest, body)
                box = replace(box, counter=counter, head=head.digest, pending=digest)
                keybox.write(self._home, box, self._randomness)
                self._db.run(
                    "insert into ledger (seq, body, digest, mac) values (?, ?, ?, ?)",
                    *(seq, body, digest, entries.mac(box.ledger_key, digest)),
                )
            self._settled(box, Head(seq=seq, digest=digest, counter=counter))
        return entries.read(seq, body)

    def _settled(self, box: keybox.Keybox, head: Head) -> keybox.Keybox:
        """Write down that a pending entry is in the store; the caller holds the lock."""
        if box.pending is None or box.pending != head.digest:
            return box
        box = replace(box, head=head.digest, pending=None)
        keybox.write(self._home, box, self._randomness)
        return box

    def _settle_left_over(self) -> keybox.Keybox:
        """Do what a process left to do that was killed between its commit and step 4."""
        if self._db.in_transaction:
            raise ConfigError("streams are read before a transaction begins")
        with files.locked(self._home):
            box = keybox.read(self._home)
            return self._settled(box, self.head(box.ledger_key))

    def _require_room(
        self, unit: str, parameters: "StreamParameters", cap: tuple[float, float]
    ) -> None:
        from ondevice.privacy.accountant import SLACK, epsilon_of, rho_of

        epsilon, delta = cap
        streams = self.streams()
        days = sum(s.parameters.rho for s in streams if s.unit == "day")
        before = self._composed(streams) if unit == "day" else days
        total = before + parameters.rho
        if total <= rho_of(epsilon, delta) * (1 + SLACK):
            return
        raise BudgetExhaustedError(
            f"a stream of epsilon {parameters.epsilon:g} would bring the total to epsilon "
            f"{epsilon_of(total, delta):.3g}, above the cap of {epsilon:g}",
            hint="keep the stream you have; or choose a higher epsilon in config.toml: "
            "what was released before stays released",
        )

    def _composed(self, streams: list[Stream]) -> float:
        rho = {s.id: s.parameters.rho for s in streams if s.unit == "behaviour"}
        several = self._db.rows(
            "select group_concat(stream) from steps where behaviour is not null "
            "group by behaviour having count(*) > 1"
        )
        sums = [sum(rho.get(int(i), 0.0) for i in ids.split(",")) for (ids,) in several]
        days = sum(s.parameters.rho for s in streams if s.unit == "day")
        return max([0.0, *rho.values(), *sums]) + days

    def _entries(self, tail: str = "order by seq") -> list[tuple[int, bytes, bytes, bytes]]:
        return self._db.rows(f"select seq, body, digest, mac from ledger {tail}")  # noqa: S608


def _check(space: str, unit: str) -> None:
    if unit not in entries.UNITS:
        raise ConfigError(f"a unit of privacy is {' or '.join(entries.UNITS)}, not {unit!r}")
    if not entries.SPACE.fullmatch(space):
        raise ConfigError(f"{space!r} is not the digest of a space")
