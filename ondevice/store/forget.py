"""What to forget, and its deletion inside one transaction of the copy (generation.py).

Forgetting goes by behaviours. Verdicts and wishes go with the behaviour that was recorded for
them, and by their own time where a time is named. What was released stays, and so does what the
shared view has emitted from it: both were paid for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from ondevice.store import packing, scan
from ondevice.store.behaviours import Behaviours
from ondevice.store.generation import Change

if TYPE_CHECKING:
    from ondevice.store.connection import Connection, Value

# Tables that follow from what the person did: emptied by every forget, and filled again by use.
DERIVED = ("shown",)
KEPT = "(words not kept)"  # in place of a text that was forgotten alone
_FEEDBACK = "feedback"  # the source of a behaviour that came with a verdict
_SAMPLES = 24  # behaviours whose traces are looked for: spread over all
_WORDS = 16  # of which as many texts
_ID_LISTS = 500
# Where a text may rightly go on to be after its behaviour is gone.
_ELSEWHERE = (
    ("behaviours", "text"),
    ("behaviours", "item"),
    ("feedback", "item"),
    ("wishes", "name"),
    ("emitted", "item"),
    ("emitted_order", "list"),
    ("anchors", "item"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to forget: exactly one of these. Days are UTC, as the history shows them."""

    id: int | None = None
    day: date | None = None
    source: str | None = None
    before: datetime | None = None
    all: bool = False

    def behaviours(self) -> tuple[str, tuple["Value", ...]]:
        """Return the condition on a behaviour."""
        if self.id is not None:
            return "id = ?", (self.id,)
        if self.source is not None:
            return "source = ?", (self.source,)
        return self._times()

    def events(self) -> tuple[str, tuple["Value", ...]]:
        """Return the condition on a verdict or a wish that goes by itself."""
        if self.id is not None:
            return "false", ()
        if self.source is not None:
            return ("true" if self.source == _FEEDBACK else "false"), ()
        return self._times()

    def _times(self) -> tuple[str, tuple["Value", ...]]:
        if self.all:
            return "true", ()
        if self.day is not None:
            start = datetime.combine(self.day, time(), UTC)
            return "at >= ? and at < ?", (
                packing.ticks(start),
                packing.ticks(start + timedelta(days=1)),
            )
        if self.before is not None:
            return "at < ?", (packing.ticks(self.before),)
        raise ValueError("a selection names something")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What was deleted, and how much of it can't be unlearned."""

    behaviours: int = 0
    verdicts: int = 0
    wishes: int = 0
    released: int = 0  # behaviours that had entered a released row
    weight: float = 0.0  # what they still weigh in what was released; a new behaviour weighs 1
    half_life: int = 0  # steps after which that is half; the longest of all streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a selection would forget."""

    behaviours: int
    verdicts: int
    wishes: int
    by_source: dict[str, int]
    first: datetime | None
    last: datetime | None


def look(connection: "Connection", selection: Selection) -> Found:
    """Count what `selection` names; nothing is changed."""
    where, values = selection.behaviours()
    rows = connection.rows(
        f"select source, count(*), min(at), max(at) from behaviours where {where} "  # noqa: S608
        "group by source order by source",
        *values,
    )
    verdicts, wishes = _events(connection, selection)
    return Found(
        behaviours=sum(row[1] for row in rows),
        verdicts=len(verdicts),
        wishes=len(wishes),
        by_source={row[0]: row[1] for row in rows},
        first=packing.moment(min(row[2] for row in rows)) if rows else None,
        last=packing.moment(max(row[3] for row in rows)) if rows else None,
    )


def delete(connection: "Connection", selection: Selection) -> Change[Gone]:
    """Delete what `selection` names; the caller holds a transaction."""
    where, values = selection.behaviours()
    found = connection.rows(f"select id from behaviours where {where} order by id", *values)  # noqa: S608
    ids = [row[0] for row in found]
    traces = _traces(connection, ids)
    verdicts, wishes = _events(connection, selection)
    for table, column, gone in (
        ("feedback", "undoes", verdicts),
        ("feedback", "id", verdicts),
        ("wishes", "id", wishes),
    ):
        for part in _parts(gone):
            marks = ", ".join("?" * len(part))
            connection.run(f"delete from {table} where {column} in ({marks})", *part)  # noqa: S608
    withdrawn = Behaviours(connection).withdraw_many(ids)
    empty_derived(connection)
    return Change(
        result=Gone(
            behaviours=len(withdrawn),
            verdicts=len(verdicts),
            wishes=len(wishes),
            released=sum(one.weight > 0 for one in withdrawn),
            weight=sum(one.weight for one in withdrawn),
            half_life=_half_life(connection),
        ),
        gone=[*traces.identities, *_gone(connection, traces)],
    )


def empty_derived(connection: "Connection") -> None:
    """Delete what follows from what the person did: it is made again when it is needed."""
    for table in DERIVED:
        connection.run(f"delete from {table}")  # noqa: S608


def words_before(connection: "Connection", before: datetime) -> int:
    """Count the behaviours older than `before` whose words are still kept."""
    row = connection.row(
        "select count(*) from behaviours where at < ? and text <> ?", packing.ticks(before), KEPT
    )
    return row[0] if row else 0


def delete_words(connection: "Connection", before: datetime) -> Change[int]:
    """Forget the words, the item and the vector of every behaviour older than `before`.

    That something of its kind happened then stays, and so does its step in the profile.
    """
    where = "at < ? and text <> ?"
    values: tuple[Value, ...] = (packing.ticks(before), KEPT)
    ids = [row[0] for row in connection.rows(f"select id from behaviours where {where}", *values)]  # noqa: S608
    traces = _traces(connection, ids)
    for part in _parts(ids):
        marks = ", ".join("?" * len(part))
        for sql in (
            f"delete from feedback where undoes in (select id from feedback "  # noqa: S608
            f"where behaviour in ({marks}))",
            f"delete from feedback where behaviour in ({marks})",  # noqa: S608
            f"update behaviours set text = '{KEPT}', item = null, vector = null "  # noqa: S608
            f"where id in ({marks})",
        ):
            connection.run(sql, *part)
    empty_derived(connection)
    return Change(result=len(ids), gone=_gone(connection, traces))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traces:
    """What some behaviours look like in a page."""

    identities: list[bytes]  # nothing else can hold one
    words: list[bytes]
    vectors: list[bytes]  # the start of each


def _events(connection: "Connection", selection: Selection) -> tuple[list[int], list[int]]:
    """Return the verdicts and the wishes that go."""
    where, values = selection.behaviours()
    alone, times = selection.events()
    return tuple(  # type: ignore[return-value]  # two
        [
            row[0]
            for row in connection.rows(
                f"select id from {table} where ({alone}) or behaviour in "  # noqa: S608
                f"(select id from behaviours where {where}) order by id desc",
                *times,
                *values,
            )
        ]
        for table in ("feedback", "wishes")
    )


def _traces(connection: "Connection", ids: list[int]) -> _Traces:
    """Return what some of `ids` look like in a page."""
    identities: list[bytes] = []
    words: list[bytes] = []
    vectors: list[bytes] = []
    for number in ids[:: max(1, len(ids) // _SAMPLES)]:
        rows = connection.rows("select identity, text, vector from behaviours where id = ?", number)
        for identity, text, vector in rows:
            identities.append(identity)
            if text != KEPT and len(words) < _WORDS:
                words.append(text.encode("utf-8"))
            if vector is not None:
                vectors.append(vector[: scan.PIECE])
    return _Traces(identities=identities, words=words, vectors=vectors)


def _gone(connection: "Connection", traces: _Traces) -> list[bytes]:
    """Return those words and vectors that nothing which stays has as well."""
    alike = "select 1 from behaviours where substr(vector, 1, ?) = ? limit 1"
    return [
        *(word for word in traces.words if not _goes_on(connection, word)),
        *(v for v in traces.vectors if connection.row(alike, scan.PIECE, v) is None),
    ]


def _goes_on(connection: "Connection", word: bytes) -> bool:
    """Whether something that stays says the same."""
    return any(
        connection.row(
            f"select 1 from {table} where instr(cast({column} as blob), ?) > 0 limit 1",  # noqa: S608
            piece,
        )
        for piece in scan.pieces([word])
        for table, column in _ELSEWHERE
    )


def _half_life(connection: "Connection") -> int:
    from ondevice.store import entries

    rows = connection.rows("select seq, body from ledger")
    return max((entries.read(*row).parameters.half_life for row in rows), default=0)


def _parts(ids: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(ids), _ID_LISTS):
        yield ids[first : first + _ID_LISTS]
