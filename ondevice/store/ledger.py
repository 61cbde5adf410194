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

What streams cost together is in composition.py.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ondevice.errors import BudgetExhaustedError, ConfigError, IntegrityError
from ondevice.store import entries, files, keybox, packing
from ondevice.store.composition import Ran, charged_by, composed
from ondevice.store.connection import Connection
from ondevice.store.entries import BACKUP, Head, Stream
from ondevice.store.orders import Again, Carry, Order

if TYPE_CHECKING:
    from ondevice.paths import Home
    from ondevice.privacy.cadence import Clock
    from ondevice.privacy.randomness import Randomness
    from ondevice.privacy.stream import StreamParameters


class Ledger:
    """The ledger of one open store."""

    def __init__(self, connection: Connection, home: "Home", randomness: "Randomness") -> None:
        self._db = connection
        self._home = home
        self._randomness = randomness
        self._read: tuple[list[tuple[int, bytes, bytes, bytes]], tuple[Stream, ...]] = ([], ())

    def open_stream(
        self,
        *,
        space: str,
        unit: str,
        parameters: "StreamParameters",
        cap_epsilon: float,
        cap_delta: float,
        at: datetime,
        clock: "Clock | None" = None,
        carry: Carry | None = None,
        again: Sequence[Again] = (),
    ) -> Stream:
        """Charge for a new, empty stream and return it.

        Args:
            space: digest of the space its steps live in, 64 hex digits.
            unit: what is hidden, "behaviour" or "day".
            parameters: of the mechanism; `parameters.rho` is what each unit is charged.
            cap_epsilon: what the person allows for life, with `cap_delta`.
            cap_delta: see there.
            at: now.
            clock: when its rows are due; None for one at every behaviour.
            carry: the release that goes on in it.
            again: behaviours that enter it though they entered another one: each is charged for
                both. They wait until `Store.tick`.

        Raises:
            BudgetExhaustedError: the cap does not allow it.
            ConfigError: another unit, or not a digest; or called inside a transaction.
            IntegrityError: the store does not fit its keybox.
        """
        order = Order(space, unit, parameters, clock, carry, tuple(again))
        return self._open(order, (cap_epsilon, cap_delta), at, reuse=False)

    def ensure_stream(
        self,
        *,
        space: str,
        unit: str,
        parameters: "StreamParameters",
        cap_epsilon: float,
        cap_delta: float,
        at: datetime,
        clock: "Clock | None" = None,
        carry: Carry | None = None,
    ) -> Stream:
        """Return the newest stream of `space` if it is as asked for, else open one.

        Two clocks are the same if their periods are. Two processes that ask at once get the same
        stream. Arguments and errors as `open_stream`.
        """
        order = Order(space, unit, parameters, clock, carry)
        newest = self.current(space)
        if newest is not None and order.fits(newest):
            return newest
        return self._open(order, (cap_epsilon, cap_delta), at, reuse=True)

    def streams(self) -> list[Stream]:
        """Return every stream, oldest first.

        Raises:
            IntegrityError: an entry does not carry our MAC.
        """
        found = self._entries()
        if found == self._read[0]:  # settled, and every MAC was checked
            return list(self._read[1])
        box = keybox.read(self._home)  # read after them: no entry found is newer than it
        if found and found[-1][2] == box.pending:
            box = self._settle_left_over()
        for seq, _, digest, given in found:
            entries.require_mac(box.ledger_key, seq=seq, digest=digest, given=given)
        streams = tuple(entries.read(seq, body) for seq, body, _, _ in found)
        self._read = found, streams
        return list(streams)

    def current(self, space: str) -> Stream | None:
        """Return the newest stream of `space`, or None; one that goes on elsewhere has ended."""
        return next((stream for stream in self.open_streams() if stream.space == space), None)

    def open_streams(self) -> list[Stream]:
        """Return the streams that take rows: the newest of each space, oldest first."""
        streams = self.streams()
        closed = self._closed(streams)
        return [stream for stream in streams if stream.id not in closed]

    def carry_of(self, stream: Stream) -> tuple[Stream, bytes | None] | None:
        """Return the stream whose release goes on in `stream`, and its map; None if none does."""
        found = self._db.row("select after, map from carryovers where stream = ?", stream.id)
        if found is None:
            return None
        return next(each for each in self.streams() if each.id == found[0]), found[1]

    def spent(self) -> float:
        """Return rho of the whole profile: what the unit that paid most was charged."""
        return composed(streams := self.streams(), self._ran(streams))

    def total(self, delta: float) -> bytes:
        """Return `spent`, the unit and `delta`, MACed: what an erased home keeps."""
        units = {stream.unit for stream in self.streams()}
        total = entries.Total(
            rho=self.spent(), delta=delta, unit="day" if units == {"day"} else "behaviour"
        )
        return entries.seal_total(keybox.read(self._home).ledger_key, total)

    def spent_with(
        self,
        parameters: "StreamParameters",
        *,
        space: str,
        unit: str,
        at: datetime,
        clock: "Clock | None" = None,
        again: Sequence[Again] = (),
    ) -> float:
        """Return what `spent` would be after `open_stream`; nothing is opened."""
        streams, ran = self._with(Order(space, unit, parameters, clock, None, tuple(again)), at)
        return composed(streams, ran)

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
            "select r.stream, count(*), max(r.t), "
            "(select count(distinct t) from steps where stream = r.stream), "
            "(select t from decoders where stream = r.stream), min(length(r.y)), max(length(r.y)) "
            "from released r group by r.stream"
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
            filled = steps if streams[stream].clock is None else count  # others may be empty
            complete = count == last == filled == decoded
            if not complete or (shortest, longest) != (size, size):
                raise IntegrityError(f"stream {stream} lacks rows or steps", hint=BACKUP)
        return len(found)

    def _open(self, order: Order, cap: tuple[float, float], at: datetime, *, reuse: bool) -> Stream:
        if self._db.in_transaction:
            raise ConfigError("a stream can't be opened inside a transaction")
        with files.locked(self._home):
            with self._db.transaction():
                box = keybox.read(self._home)
                head = self.head(box.ledger_key)
                entries.require_fit(head, box)
                box = self._settled(box, head)
                newest = self.current(order.space)
                if reuse and newest is not None and order.fits(newest):
                    return newest
                self._require_room(order, cap, at)
                seq, counter = head.seq + 1, box.counter + 1
                body = entries.write(
                    space=order.space,
                    unit=order.unit,
                    parameters=order.parameters,
                    counter=counter,
                    at=at,
                    clock=order.clock,
                )
                digest = entries.chain(seq, head.digest, body)
                box = replace(box, counter=counter, head=head.digest, pending=digest)
                keybox.write(self._home, box, self._randomness)
                self._db.run(
                    "insert into ledger (seq, body, digest, mac) values (?, ?, ?, ?)",
                    *(seq, body, digest, entries.mac(box.ledger_key, digest)),
                )
                stream = entries.read(seq, body)
                self._hand_over(stream, order, newest, at)
            self._settled(box, Head(seq=seq, digest=digest, counter=counter))
        return stream

    def _hand_over(self, stream: Stream, order: Order, before: Stream | None, at: datetime) -> None:
        """Let the release that goes on, and what still waits, go into the new `stream`."""
        from ondevice.privacy.clipping import RADIUS, clip, inner_radius

        if order.carry is not None:
            self._db.run(
                "insert into carryovers (stream, after, map) values (?, ?, ?)",
                *(stream.id, order.carry.after, order.carry.map),
            )
        dimension = stream.parameters.dimension
        given = [(each.t, each.behaviour, each.step) for each in order.again]
        if before is not None and before.parameters.dimension == dimension:
            t = 1 if stream.clock is None else stream.clock.interval(at, released=0)
            known = {behaviour for _, behaviour, _ in given}
            given += [
                (
                    max(t, 1 + len(given)) if stream.clock is None else t,
                    behaviour,
                    packing.unpack_step(x),
                )
                for behaviour, x in self._db.rows(
                    "select behaviour, x from waiting where stream = ? order by t, behaviour",
                    before.id,
                )
                if behaviour not in known
            ]
        ended = {before.id} if before is not None else set()
        if order.carry is not None:
            ended.add(order.carry.after)
        for number in ended:
            self._db.run("delete from waiting where stream = ?", number)
        radius = RADIUS if stream.clock is None else inner_radius(dimension)
        self._db.run_many(
            "insert into waiting (stream, t, behaviour, x) values (?, ?, ?, ?)",
            [(stream.id, t, b, packing.pack_step(clip(x, radius))) for t, b, x in given],
        )

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

    def _require_room(self, order: Order, cap: tuple[float, float], at: datetime) -> None:
        from ondevice.privacy.accountant import SLACK, epsilon_of, rho_of

        epsilon, delta = cap
        streams, ran = self._with(order, at)
        total = charged_by(streams[-1], streams, ran)  # what was spent before can't be taken back
        if total <= rho_of(epsilon, delta) * (1 + SLACK):
            return
        raise BudgetExhaustedError(
            f"a stream of epsilon {order.parameters.epsilon:.3g} would bring the total to epsilon "
            f"{epsilon_of(total, delta):.3g}, above the cap of {epsilon:g}",
            hint="keep the stream you have; or choose a higher epsilon in config.toml (now "
            f"{epsilon:g}): what was released before stays released",
        )

    def _with(self, order: Order, at: datetime) -> tuple[list[Stream], Ran]:
        """The streams with a new one behind them, and how far they got."""
        streams = self.streams()
        number = 1 + max((stream.id for stream in streams), default=0)
        new = Stream(
            id=number,
            space=order.space,
            unit=order.unit,
            parameters=order.parameters,
            opened=at,
            code="",
            clock=order.clock,
        )
        streams.append(new)
        return streams, self._ran(streams, {each.behaviour for each in order.again})

    def _ran(self, streams: list[Stream], again: Collection[int] = ()) -> Ran:
        """How far `streams` got, where the last one is new if behaviours enter it `again`."""
        several = [
            {int(each) for each in ids.split(",")}
            for (ids,) in self._db.rows(
                "select group_concat(stream) from "
                "(select stream, behaviour from steps where behaviour is not null "
                "union select stream, behaviour from waiting) "
                "group by behaviour having count(*) > 1"
            )
        ]
        for behaviour in again:
            found = self._db.rows(
                "select stream from steps where behaviour = ?1 "
                "union select stream from waiting where behaviour = ?1",
                behaviour,
            )
            several.append({streams[-1].id, *(stream for (stream,) in found)})
        rows = dict(self._db.rows("select stream, t from decoders"))
        return Ran(rows=rows, closed=self._closed(streams), several=several)

    def _closed(self, streams: list[Stream]) -> set[int]:
        newest = {stream.space: stream.id for stream in streams}
        followed = {after for (after,) in self._db.rows("select after from carryovers")}
        return {s.id for s in streams if newest[s.space] != s.id or s.id in followed}

    def _entries(self, tail: str = "order by seq") -> list[tuple[int, bytes, bytes, bytes]]:
        return self._db.rows(f"select seq, body, digest, mac from ledger {tail}")  # noqa: S608
