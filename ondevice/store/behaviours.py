"""Reading what was recorded. The owner's alone: nothing of this reaches the shared view."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ondevice.domain import Behaviour, Kind
from ondevice.errors import NotReadyError
from ondevice.store import packing
from ondevice.store.band import reach
from ondevice.store.connection import Connection
from ondevice.store.entries import Stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PAGE = 500  # ids in one statement
_COLUMNS = "id, text, kind, at, item, catalogue, source"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastStep:
    """One behaviour inside a stream, for an explanation."""

    behaviour: int  # id
    label: str  # its text
    kind: Kind
    item: str | None
    catalogue: str | None
    t: int  # its row, from 1
    age: int  # rows since; its weight in v is beta^age
    x: tuple[int, ...]  # grid units, not decayed; its share, where several were clipped together


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSteps:
    """A stream's whole past. v without noise is the sum of beta^age x, plus `older`."""

    individual: tuple[PastStep, ...]  # newest first; the last eight half-lives
    older: "NDArray[np.float64]"  # (dimension,) grid units: decayed sum of all before
    older_count: int
    rows: int  # of the stream
    forgotten: int  # behaviours that were forgotten after they had been released


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What became of one behaviour that was forgotten."""

    behaviour: int  # the id it had
    weight: float  # what it still weighs in what was released, of 1 when new; 0: never released


class Behaviours:
    """The behaviours of one open store."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def recent(self, limit: int) -> list[Behaviour]:
        """Return the `limit` behaviours that happened last, newest first."""
        return [
            _behaviour(row)
            for row in self._db.rows(
                f"select {_COLUMNS} from behaviours order by at desc, id desc limit ?",  # noqa: S608
                limit,
            )
        ]

    def get(self, behaviour_id: int) -> Behaviour:
        """Return one.

        Raises:
            NotReadyError: there is none with this id.
        """
        row = self._db.row(f"select {_COLUMNS} from behaviours where id = ?", behaviour_id)  # noqa: S608
        if row is None:
            raise NotReadyError(
                f"there is no behaviour {behaviour_id}", hint="list them: ondevice-rec history"
            )
        return _behaviour(row)

    def count(self) -> int:
        """Return how many there are."""
        row = self._db.row("select count(*) from behaviours")
        return row[0] if row else 0

    def count_by_catalogue(self) -> dict[str, int]:
        """Return how many each catalogue has; those of free text are left out."""
        rows = self._db.rows(
            "select catalogue, count(*) from behaviours where catalogue is not null "
            "group by catalogue"
        )
        return dict(rows)

    def items(self, catalogue: str) -> set[str]:
        """Return the items of `catalogue` that the person did something with, dislikes included."""
        rows = self._db.rows(
            "select distinct item from behaviours where catalogue = ? and item is not null",
            catalogue,
        )
        return {item for (item,) in rows}

    def vectors(
        self, catalogue: str | None = None
    ) -> "tuple[list[Behaviour], NDArray[np.float32]]":
        """Return the behaviours that have a vector, oldest first, and the vectors (n, 384).

        Args:
            catalogue: only these; None for all.
        """
        import numpy as np

        rows = self._db.rows(
            f"select {_COLUMNS}, vector from behaviours where vector is not null "  # noqa: S608
            "and (?1 is null or catalogue = ?1) order by at, id",
            catalogue,
        )
        blobs: list[bytes] = [row[7] for row in rows]
        flat = np.frombuffer(b"".join(blobs), "<f4").astype(np.float32)
        return [_behaviour(row[:7]) for row in rows], flat.reshape(len(rows), -1 if rows else 0)

    def steps(self, stream: Stream) -> PastSteps:
        """Return what `stream` was fed, as an explanation needs it; what waits is not in it."""
        import numpy as np

        from ondevice.profile.steps import shares_of_day

        parameters = stream.parameters
        half_life, dimension = parameters.half_life, parameters.dimension
        newest = self._db.row("select t from decoders where stream = ?", stream.id)
        last: int = newest[0] if newest else 0
        cut = last - reach(parameters)
        older = self._db.row("select t, count, total from older where stream = ?", stream.id)
        summed, count, total = older or (0, 0, bytes(8 * dimension))
        decayed = np.frombuffer(total, "<f8") * 2.0 ** ((summed - last) / half_life)
        rows = self._db.rows(
            "select s.t, s.x, s.behaviour, b.text, b.kind, b.item, b.catalogue from steps s "
            "left join behaviours b on b.id = s.behaviour "
            "where s.stream = ? and s.t > ? and s.x is not null order by s.t desc, s.rowid desc",
            *(stream.id, summed),
        )
        individual: list[PastStep] = []
        for t, found in groupby(rows, lambda row: row[0]):
            parts = list(found)
            shares = shares_of_day([packing.unpack_step(part[1]) for part in parts], dimension)
            if t <= cut:
                weight = 2.0 ** ((t - last) / half_life)
                decayed = decayed + weight * np.array(shares, dtype=np.float64).sum(axis=0)
                count += len(parts)
                continue
            individual += [
                PastStep(
                    behaviour=behaviour,
                    label=text,
                    kind=Kind(kind),
                    item=item,
                    catalogue=catalogue,
                    t=t,
                    age=last - t,
                    x=share,
                )
                for (_, _, behaviour, text, kind, item, catalogue), share in zip(
                    parts, shares, strict=True
                )
            ]
        forgotten = self._db.row(
            "select count(*) from steps where stream = ? and behaviour is null", stream.id
        )
        return PastSteps(
            individual=tuple(individual),
            older=decayed,
            older_count=count,
            rows=last,
            forgotten=forgotten[0] if forgotten else 0,
        )

    def waiting(self, stream: Stream) -> int:
        """Return how many behaviours wait for their row of `stream`."""
        found = self._db.row("select count(*) from waiting where stream = ?", stream.id)
        return found[0] if found else 0

    def entered(self, streams: Iterable[int], *, newest: int) -> list[tuple[Behaviour, int, int]]:
        """Return the `newest` behaviours that entered one of `streams`, oldest first.

        Each with the stream and the row that it entered, the last one where there are several.
        """
        numbers = list(streams)
        marks = ", ".join("?" * len(numbers))
        rows = self._db.rows(
            f"select {', '.join('b.' + name for name in _COLUMNS.split(', '))}, s.stream, s.t "  # noqa: S608
            "from behaviours b join (select behaviour, max(stream) as stream, t "
            f"from steps where stream in ({marks}) and behaviour is not null group by behaviour) s "
            "on s.behaviour = b.id order by s.stream desc, s.t desc, b.id desc limit ?",
            *(*numbers, newest),
        )
        return [(_behaviour(row[:7]), row[7], row[8]) for row in reversed(rows)]

    def withdraw(self, behaviour_id: int) -> Withdrawal:
        """Forget one; see `withdraw_many`.

        Raises:
            NotReadyError: there is none with this id.
        """
        self.get(behaviour_id)
        return self.withdraw_many([behaviour_id])[0]

    def withdraw_many(self, behaviour_ids: Iterable[int]) -> list[Withdrawal]:
        """Delete behaviours and their steps: rows to come, sums and explanations omit them.

        One that waits for its row never enters it, and costs nothing. What was released before
        stays released. All of them, or none; ids that are not there are passed over.
        """
        ids = sorted(set(behaviour_ids))
        done: list[Withdrawal] = []
        with self._db.transaction():
            for first in range(0, len(ids), _PAGE):
                page = ids[first : first + _PAGE]
                marks = ", ".join("?" * len(page))
                known = self._db.rows(f"select id from behaviours where id in ({marks})", *page)  # noqa: S608
                weights = self._weights(page)
                done += [
                    Withdrawal(behaviour=number, weight=weights.get(number, 0.0))
                    for (number,) in known
                ]
                # A trigger empties the steps; what only waits goes with its behaviour.
                self._db.run(f"delete from behaviours where id in ({marks})", *page)  # noqa: S608
        return done

    def _weights(self, ids: list[int]) -> dict[int, float]:
        """What each of `ids` still weighs in the stream where it weighs most."""
        from ondevice.store import entries

        marks = ", ".join("?" * len(ids))
        rows = self._db.rows(
            "select s.behaviour, l.seq, l.body, d.t - s.t from steps s "  # noqa: S608
            "join ledger l on l.seq = s.stream join decoders d on d.stream = s.stream "
            f"where s.behaviour in ({marks})",
            *ids,
        )
        weights: dict[int, float] = {}
        for number, seq, body, age in rows:
            half_life = entries.read(seq, body).parameters.half_life
            weights[number] = max(weights.get(number, 0.0), 2.0 ** (-age / half_life))
        return weights


def _behaviour(row: tuple[Any, ...]) -> Behaviour:
    number, text, kind, at, item, catalogue, source = row
    return Behaviour(
        id=number,
        text=text,
        kind=Kind(kind),
        at=packing.moment(at),
        item=item,
        catalogue=catalogue,
        source=source,
    )
