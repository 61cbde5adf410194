"""What lists looked like when they were shown, so that a refresh moves nothing without a reason.

Two tables for two views: `emitted` and `emitted_order` are what the shared view may know, `shown`
is the owner's alone. What the owner was shown follows from what the owner did, so forgetting
anything empties `shown`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ondevice.errors import FormatError, IntegrityError
from ondevice.formats import canonical
from ondevice.formats.fields import Fields
from ondevice.store import packing
from ondevice.store.connection import Connection

LIMIT = 16 << 20  # bytes of one list
SCHEMA = """
create table emitted_order (                     -- the list behind what was emitted last
    catalogue text primary key check (length(catalogue) > 0),
    list blob not null
) strict;
create table shown (                             -- the owner's list as it was shown last
    catalogue text primary key check (length(catalogue) > 0),
    list blob not null
) strict;
create trigger shown_forgets after delete on behaviours
begin delete from shown; end;
create table wishes (                            -- interests picked and things muted
    id integer primary key autoincrement,
    wish text not null check (wish in ('pick', 'mute')),
    field text not null,
    name text not null check (length(name) > 0),
    at integer not null,
    behaviour integer references behaviours (id) on delete set null,
    ended integer,                               -- when it was taken back
    check (ended is null or ended >= at)
) strict;
create unique index wishes_once on wishes (wish, field, name) where ended is null;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownList:
    """The items of a list, in their order, and the scores at which they got their places."""

    made: str = ""  # how; a list made otherwise has nothing to hold on to
    items: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    pages: int = 0  # how many of `items` have been on a page
    said: tuple[tuple[str, str], ...] = ()  # verdicts that stood: (item, verdict)


class _Lists:
    """One list for each catalogue."""

    def __init__(self, connection: Connection, table: str) -> None:
        self._db, self._table = connection, table

    def get(self, catalogue: str) -> ShownList | None:
        """Return the list of `catalogue` that was shown last.

        Raises:
            IntegrityError: the store holds something else there.
        """
        row = self._db.row(
            f"select list from {self._table} where catalogue = ?",  # noqa: S608
            catalogue,
        )
        if row is None:
            return None
        try:
            return _read(row[0])
        except FormatError as error:
            raise IntegrityError(f"the list shown of '{catalogue}' is damaged") from error

    def put(self, catalogue: str, shown: ShownList) -> None:
        """Remember `shown` instead of what was there."""
        self._db.run(
            f"insert into {self._table} (catalogue, list) values (?, ?) "  # noqa: S608
            "on conflict (catalogue) do update set list = excluded.list",
            *(catalogue, _write(shown)),
        )

    def clear(self) -> None:
        """Forget every list: the next ones hold on to nothing."""
        self._db.run(f"delete from {self._table}")  # noqa: S608


class Shown(_Lists):
    """The owner's lists."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, "shown")


class Emitted:
    """What the shared view has shown before: so that it doesn't repeat itself, and holds still."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self.order = _Lists(connection, "emitted_order")

    def items(self, catalogue: str) -> set[str]:
        """Return the items of `catalogue` that were shown."""
        rows = self._db.rows("select item from emitted where catalogue = ?", catalogue)
        return {item for (item,) in rows}

    def add(self, catalogue: str, items: Iterable[str], *, at: datetime) -> None:
        """Remember that `items` were shown; those known already stay as they are."""
        with self._db.transaction():
            self._db.run_many(
                "insert into emitted (catalogue, item, at) values (?, ?, ?) on conflict do nothing",
                [(catalogue, item, packing.ticks(at)) for item in items],
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingWish:
    """One interest picked, or one thing muted."""

    id: int
    wish: str  # pick | mute
    field: str  # of a mute: category, tag, source or series
    name: str
    at: datetime
    behaviour: int | None = None  # recorded with a pick


class Wishes:
    """Interests picked and things muted: the owner's, each visible and reversible."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def standing(self, wish: str) -> list[StandingWish]:
        """Return those of one sort that stand, oldest first."""
        return [
            _wish(row)
            for row in self._db.rows(
                "select id, wish, field, name, at, behaviour from wishes "
                "where wish = ? and ended is null order by id",
                wish,
            )
        ]

    def add(
        self, wish: str, field: str, name: str, *, at: datetime, behaviour: int | None = None
    ) -> bool:
        """Remember a wish; False where it stands already."""
        with self._db.transaction():
            if self._find(wish, field, name) is not None:
                return False
            self._db.run(
                "insert into wishes (wish, field, name, at, behaviour) values (?, ?, ?, ?, ?)",
                *(wish, field, name, packing.ticks(at), behaviour),
            )
            self._db.run("delete from shown")
            return True

    def end(self, wish: str, field: str, name: str, *, at: datetime) -> StandingWish | None:
        """Take a wish back, and return it; None where there is none."""
        with self._db.transaction():
            found = self._find(wish, field, name)
            if found is not None:
                self._db.run(
                    "update wishes set ended = max(?, at) where id = ?",
                    *(packing.ticks(at), found.id),
                )
                self._db.run("delete from shown")
            return found

    def _find(self, wish: str, field: str, name: str) -> StandingWish | None:
        row = self._db.row(
            "select id, wish, field, name, at, behaviour from wishes "
            "where wish = ? and field = ? and name = ? and ended is null",
            *(wish, field, name),
        )
        return None if row is None else _wish(row)


def _wish(row: tuple[Any, ...]) -> StandingWish:
    number, wish, field, name, at, behaviour = row
    return StandingWish(
        id=number,
        wish=wish,
        field=field,
        name=name,
        at=packing.moment(at),
        behaviour=behaviour,
    )


def _write(shown: ShownList) -> bytes:
    return canonical.dump(
        {
            "items": list(shown.items),
            "made": shown.made,
            "pages": shown.pages,
            "said": [list(pair) for pair in shown.said],
            "scores": list(shown.scores),
        }
    )


def _read(blob: bytes) -> ShownList:
    what = "a list that was shown"
    table = canonical.load(blob, what=what, limit=LIMIT)
    fields = Fields(table, what=what, required=("items", "made", "pages", "said", "scores"))
    items, scores = fields.array("items", high=LIMIT), fields.array("scores", high=LIMIT)
    said = fields.array("said", high=LIMIT)
    good = (
        all(isinstance(item, str) for item in items)
        and all(isinstance(score, int | float) for score in scores)
        and len(items) == len(scores)
        and all(isinstance(pair, list) and len(pair) == 2 for pair in said)
    )
    if not good:
        raise FormatError(f"{what} is malformed")
    return ShownList(
        made=fields.text("made", low=0, high=512),
        items=tuple(map(str, items)),
        scores=tuple(float(str(score)) for score in scores),
        pages=fields.integer("pages", low=0, high=len(items)),
        said=tuple((str(pair[0]), str(pair[1])) for pair in said if isinstance(pair, list)),
    )
