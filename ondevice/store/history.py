"""Looking through what was recorded: filtered, newest first, in pages that cost what they show."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from ondevice.domain import Behaviour, Kind
from ondevice.store import packing

if TYPE_CHECKING:
    from ondevice.store.connection import Connection, Value

_COLUMNS = "id, text, kind, at, item, catalogue, source"
_STREAM = 1000  # rows read at once by `each`


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which behaviours; None takes all. Days are UTC."""

    day: date | None = None
    source: str | None = None
    kind: Kind | None = None
    text: str | None = None  # part of the text, whatever its case

    def where(self) -> tuple[str, tuple["Value", ...]]:
        """Return the condition and its values."""
        parts: list[str] = ["true"]
        values: list[Value] = []
        if self.day is not None:
            start = datetime.combine(self.day, time(), UTC)
            parts.append("at >= ? and at < ?")
            values += [packing.ticks(start), packing.ticks(start + timedelta(days=1))]
        if self.source is not None:
            parts.append("source = ?")
            values.append(self.source)
        if self.kind is not None:
            parts.append("kind = ?")
            values.append(self.kind.value)
        if self.text is not None:
            escaped = self.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            parts.append("text like ? escape '\\'")
            values.append(f"%{escaped}%")
        return " and ".join(parts), tuple(values)


class History:
    """The past of one open store; the owner's alone."""

    def __init__(self, connection: "Connection") -> None:
        self._db = connection

    def page(self, wanted: Filter, *, limit: int, offset: int = 0) -> list[Behaviour]:
        """Return `limit` behaviours after the first `offset`, newest first."""
        where, values = wanted.where()
        return [
            _behaviour(row)
            for row in self._db.rows(
                f"select {_COLUMNS} from behaviours where {where} "  # noqa: S608
                "order by at desc, id desc limit ? offset ?",
                *(*values, limit, offset),
            )
        ]

    def count(self, wanted: Filter) -> int:
        """Return how many there are."""
        where, values = wanted.where()
        row = self._db.row(f"select count(*) from behaviours where {where}", *values)  # noqa: S608
        return row[0] if row else 0

    def sources(self) -> dict[str, int]:
        """Return source → number of behaviours."""
        return dict(
            self._db.rows(
                "select source, count(*) from behaviours group by source order by count(*) desc"
            )
        )

    def each(self) -> Iterator[Behaviour]:
        """Yield every behaviour in the order in which it was recorded; memory stays small."""
        last = 0
        while True:
            rows = self._db.rows(
                f"select {_COLUMNS} from behaviours where id > ? order by id limit ?",  # noqa: S608
                *(last, _STREAM),
            )
            yield from map(_behaviour, rows)
            if len(rows) < _STREAM:
                return
            last = rows[-1][0]

    def verdicts(self) -> Iterator[dict[str, Any]]:
        """Yield every verdict, undone ones and the undoing too, oldest first."""
        columns = ("id", "at", "verdict", "catalogue", "item", "seconds", "behaviour", "undoes")
        yield from self._dump("feedback", columns)

    def wishes(self) -> Iterator[dict[str, Any]]:
        """Yield every interest picked and thing muted, ended ones too, oldest first."""
        columns = ("at", "wish", "field", "name", "behaviour", "ended")
        yield from self._dump("wishes", columns)

    def take_back(
        self,
        verdicts: Iterable[dict[str, Any]],
        wishes: Iterable[dict[str, Any]],
        behaviours: Mapping[int, int],
    ) -> tuple[int, int]:
        """Write what `verdicts` and `wishes` yielded elsewhere; what is here already stays.

        Args:
            verdicts: in their order.
            wishes: in their order.
            behaviours: id there → id here.

        Returns:
            How many of each were written.

        Raises:
            IntegrityError: one breaks the rules of the store; none is written.
        """
        written = [0, 0]
        ids: dict[int, int] = {}
        with self._db.transaction():
            for row in verdicts:
                values = (
                    *(row["catalogue"], row["item"], row["verdict"], row["seconds"]),
                    packing.ticks(datetime.fromisoformat(row["at"])),
                )
                known = self._db.row(
                    "select id from feedback where catalogue = ? and item = ? and verdict = ? "
                    "and seconds is ? and at = ? order by id limit 1",
                    *values,
                )
                if known is None:
                    undoes = ids[row["undoes"]] if row["undoes"] is not None else None
                    ids[row["id"]] = self._db.insert(
                        "insert into feedback (catalogue, item, verdict, seconds, at, behaviour, "
                        "undoes) values (?, ?, ?, ?, ?, ?, ?)",
                        *(*values, behaviours.get(row["behaviour"]), undoes),
                    )
                    written[0] += 1
                else:
                    ids[row["id"]] = known[0]
            for row in wishes:
                place = (row["wish"], row["field"], row["name"])
                at = packing.ticks(datetime.fromisoformat(row["at"]))
                ended = row["ended"] and packing.ticks(datetime.fromisoformat(row["ended"]))
                known = self._db.row(
                    "select 1 from wishes where wish = ? and field = ? and name = ? "
                    "and (at = ? or ended is null and ? is null)",
                    *(*place, at, ended),
                )
                if known is None:
                    self._db.run(
                        "insert into wishes (wish, field, name, at, behaviour, ended) "
                        "values (?, ?, ?, ?, ?, ?)",
                        *(*place, at, behaviours.get(row["behaviour"]), ended),
                    )
                    written[1] += 1
        return written[0], written[1]

    def _dump(self, table: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        last = 0
        while True:
            rows = self._db.rows(
                f"select id, {', '.join(columns)} from {table} where id > ? "  # noqa: S608
                "order by id limit ?",
                *(last, _STREAM),
            )
            for row in rows:
                named = dict(zip(columns, row[1:], strict=True))
                for time_of in ("at", "ended"):
                    if named.get(time_of) is not None:
                        named[time_of] = packing.moment(named[time_of]).isoformat()
                yield named
            if len(rows) < _STREAM:
                return
            last = rows[-1][0]


def _behaviour(row: tuple[int, str, str, int, str | None, str | None, str]) -> Behaviour:
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
