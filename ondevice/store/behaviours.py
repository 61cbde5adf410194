"""Reading what was recorded. The owner's alone: nothing of this reaches the shared view."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondevice.domain import Behaviour, Kind
from ondevice.errors import NotReadyError
from ondevice.store import packing
from ondevice.store.connection import Connection
from ondevice.store.entries import Stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INDIVIDUAL_HALF_LIVES = 8  # older steps are explained together: each weighs below 1/256
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
    x: tuple[int, ...]  # grid units, not decayed


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSteps:
    """A stream's whole past. v without noise is the sum of beta^age x, plus `older`."""

    individual: tuple[PastStep, ...]  # newest first; the last eight half-lives
    older: "NDArray[np.float64]"  # (dimension,) grid units: decayed sum of all before
    older_count: int
    rows: int  # of the stream
    forgotten: int  # rows whose behaviour was forgotten


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
        """Return what `stream` was fed, as an explanation needs it."""
        import numpy as np

        parameters = stream.parameters
        rows = self._db.rows(
            "select s.t, s.x, s.behaviour, b.text, b.kind, b.item, b.catalogue from steps s "
            "left join behaviours b on b.id = s.behaviour where s.stream = ? order by s.t desc",
            stream.id,
        )
        last = rows[0][0] if rows else 0
        reach = INDIVIDUAL_HALF_LIVES * parameters.half_life
        kept = [row for row in rows if row[1] is not None]
        individual = tuple(
            PastStep(
                behaviour=behaviour,
                label=text,
                kind=Kind(kind),
                item=item,
                catalogue=catalogue,
                t=t,
                age=last - t,
                x=packing.unpack_step(x),
            )
            for t, x, behaviour, text, kind, item, catalogue in kept
            if last - t < reach
        )
        old = kept[len(individual) :]
        blobs: list[bytes] = [row[1] for row in old]
        past = np.frombuffer(b"".join(blobs), "<i2").reshape(len(old), parameters.dimension)
        ages = np.array([last - row[0] for row in old], dtype=np.float64)
        return PastSteps(
            individual=individual,
            older=np.exp2(-ages / parameters.half_life) @ past.astype(np.float64),
            older_count=len(old),
            rows=last,
            forgotten=len(rows) - len(kept),
        )

    def withdraw(self, behaviour_id: int) -> None:
        """Delete one, and its step from the band: rows to come no longer hold it.

        What was released before stays released.

        Raises:
            NotReadyError: there is none with this id.
        """
        with self._db.transaction():
            self.get(behaviour_id)
            self._db.run("update steps set behaviour = null where behaviour = ?", behaviour_id)
            self._db.run("delete from behaviours where id = ?", behaviour_id)


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
