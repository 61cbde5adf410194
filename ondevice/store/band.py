"""The end of one stream while rows are added to it, inside one transaction."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from ondevice.errors import FormatError, IntegrityError, OnDeviceError
from ondevice.store import entries, packing
from ondevice.store.connection import Connection
from ondevice.store.entries import Stream

if TYPE_CHECKING:
    from ondevice.privacy.stream import StreamParameters

INDIVIDUAL_HALF_LIVES = 8  # older steps are explained together: each weighs below 1/256
_FOLD_AT_ONCE = 16  # rows

Step = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one step lets out, and what decoding remembers of the stream up to there."""

    y: tuple[int, ...]  # (dimension,) integers
    state: bytes  # privacy.decoder.StreamState.to_bytes


class RowMaker(Protocol):
    """Draws a row. Called inside the transaction, once for each row."""

    def __call__(self, stream: Stream, inputs: Sequence[Step], state: bytes | None) -> Row:
        """Return row t.

        Args:
            stream: which one.
            inputs: x_t, x_(t-1), ...: newest first, at most `stream.parameters.band`, zeros for
                forgotten ones; what `privacy.stream.row` takes.
            state: of the row before, None before the first.
        """
        ...


class Band:
    """The end of one stream. `save` writes down what the next one needs."""

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self._db = connection
        self.stream = stream
        cached = connection.row("select t, state from decoders where stream = ?", stream.id)
        self.t: int = cached[0] if cached else 0
        self._state: bytes | None = cached[1] if cached else None
        self._inputs: deque[Step] = deque(self._last_steps(), maxlen=stream.parameters.band)

    def release(self, parts: Sequence[tuple[int, Step]], make_row: "RowMaker") -> None:
        """Draw the next row, of the steps of these behaviours together, and write it."""
        step = parts[0][1] if len(parts) == 1 else self._sum([step for _, step in parts])
        self._inputs.appendleft(step)
        row = make_row(self.stream, tuple(self._inputs), self._state)
        if len(row.y) != self.stream.parameters.dimension:
            raise FormatError(
                f"a released row has {len(row.y)} coordinates, its stream another number"
            )
        self.t, self._state = self.t + 1, row.state
        self._db.run(
            "insert into released (stream, t, y) values (?, ?, ?)",
            *(self.stream.id, self.t, packing.pack_row(row.y)),
        )
        self._db.run_many(
            "insert into steps (stream, t, x, behaviour) values (?, ?, ?, ?)",
            [(self.stream.id, self.t, packing.pack_step(x), number) for number, x in parts],
        )

    def release_due(self, make_row: "RowMaker") -> None:
        """Draw the next row, of what waits for it; of nothing, zeros."""
        found = self._db.rows(
            "select behaviour, x from waiting where stream = ? and t = ?",
            self.stream.id,
            self.t + 1,
        )
        if found:
            self._db.run(
                "delete from waiting where stream = ? and t = ?", self.stream.id, self.t + 1
            )
        self.release([(number, packing.unpack_step(x)) for number, x in found], make_row)

    def release_waiting(self, make_row: "RowMaker", limit: int = 1 << 30) -> int:
        """Draw a row for each behaviour that was told to enter again; return how many."""
        found = self._db.rows(
            "select behaviour, x from waiting where stream = ? order by t, behaviour limit ?",
            *(self.stream.id, limit),
        )
        for number, x in found:
            self._db.run(
                "delete from waiting where stream = ? and behaviour = ?", self.stream.id, number
            )
            self.release([(number, packing.unpack_step(x))], make_row)
        return len(found)

    def save(self) -> None:
        """Write down the decoder's state, and sum up what has become old."""
        if self._state is None:
            return
        self._db.run(
            "insert into decoders (stream, t, state) values (?, ?, ?) on conflict (stream) "
            "do update set t = excluded.t, state = excluded.state",
            *(self.stream.id, self.t, self._state),
        )
        self._fold()

    def _last_steps(self) -> list[Step]:
        """The steps of the last K-1 rows, newest first; zeros for what was forgotten."""
        parameters = self.stream.parameters
        first = max(1, self.t - (parameters.band - 1) + 1)
        found = self._db.rows(
            "select t, x from steps where stream = ? and t >= ? order by t",
            *(self.stream.id, first),
        )
        by_row = {t: [x for _, x in rows] for t, rows in groupby(found, lambda row: row[0])}
        if self.stream.clock is None and len(by_row) != self.t - first + 1:
            raise IntegrityError(
                f"stream {self.stream.id} lacks steps", hint="run: ondevice-rec doctor"
            )
        return [
            self._sum([packing.unpack_step(x) for x in by_row.get(t, ()) if x is not None])
            for t in range(self.t, first - 1, -1)
        ]

    def _sum(self, steps: list[Step]) -> Step:
        if len(steps) == 1:
            return steps[0]
        dimension = self.stream.parameters.dimension
        if not steps:
            return (0,) * dimension
        from ondevice.profile.steps import step_of_day

        return step_of_day(steps, dimension)

    def _fold(self) -> None:
        """Drop the vectors of steps that have become old, and keep their decayed sum."""
        parameters, number = self.stream.parameters, self.stream.id
        last = self.t - reach(parameters)
        if last < _FOLD_AT_ONCE:
            return
        older = self._db.row("select t, count, total from older where stream = ?", number)
        before, count, total = older or (0, 0, bytes(8 * parameters.dimension))
        if last - before < _FOLD_AT_ONCE:
            return
        import numpy as np

        found = self._db.rows(
            "select t, x from steps where stream = ? and t > ? and t <= ? and x is not null "
            "order by t",
            *(number, before, last),
        )
        summed = np.frombuffer(total, "<f8") * 2.0 ** ((before - last) / parameters.half_life)
        for t, rows in groupby(found, lambda row: row[0]):
            step = self._sum([packing.unpack_step(x) for _, x in rows])
            summed = summed + np.array(step) * 2.0 ** ((t - last) / parameters.half_life)
        self._db.run(
            "insert into older (stream, t, count, total) values (?, ?, ?, ?) on conflict (stream) "
            "do update set t = excluded.t, count = excluded.count, total = excluded.total",
            *(number, last, count + len(found), summed.astype("<f8").tobytes()),
        )
        where = (number, before, last)
        self._db.run("update steps set x = null where stream = ? and t > ? and t <= ?", *where)
        self._db.run(
            "update behaviours set vector = null where id in "
            "(select behaviour from steps where stream = ? and t > ? and t <= ?) and not exists "
            "(select 1 from steps as s where s.behaviour = behaviours.id and s.x is not null)",
            *where,
        )


def reach(parameters: "StreamParameters") -> int:
    """Return how many of the newest rows keep their steps one by one; never less than a band."""
    return max(INDIVIDUAL_HALF_LIVES * parameters.half_life, parameters.band)


def require_open(connection: Connection, stream: Stream) -> None:
    """Refuse a stream that has ended since the caller looked; inside a transaction.

    Raises:
        OnDeviceError: there is a newer stream in its place.
    """
    if has_ended(connection, stream):
        raise OnDeviceError(
            "the profile was restarted by another process", hint="try again: nothing was recorded"
        )


def has_ended(connection: Connection, stream: Stream) -> bool:
    """Return whether another stream has taken the place of `stream`."""
    if connection.row("select 1 from carryovers where after = ?", stream.id):
        return True
    later = connection.rows("select seq, body from ledger where seq > ?", stream.id)
    return any(entries.read(seq, body).space == stream.space for seq, body in later)
