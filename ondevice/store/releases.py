"""What was let out: released rows, the decoder's state, and what the shared view has shown.

The shared view may know this and nothing else of the store (PRIVACY 1).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from ondevice.store import packing
from ondevice.store.connection import Connection
from ondevice.store.entries import Stream

_PAGE = 512  # rows read at once


class Releases:
    """The released rows of one open store."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def count(self, stream: Stream) -> int:
        """Return how many rows `stream` has."""
        row = self._db.row("select coalesce(max(t), 0) from released where stream = ?", stream.id)
        return row[0] if row else 0

    def counts(self) -> dict[int, int]:
        """Return how many rows each stream has; those without rows are left out."""
        return dict(self._db.rows("select stream, t from decoders"))

    def rows(self, stream: Stream, *, first: int = 1) -> Iterator[tuple[int, ...]]:
        """Yield y_first, y_(first+1), ... as integers."""
        while True:
            page = self._db.rows(
                "select y from released where stream = ? and t >= ? order by t limit ?",
                *(stream.id, first, _PAGE),
            )
            for (y,) in page:
                yield packing.unpack_row(y)
            if len(page) < _PAGE:
                return
            first += _PAGE

    def state(self, stream: Stream) -> bytes | None:
        """Return the decoder's state after the newest row; None before the first."""
        row = self._db.row("select state from decoders where stream = ?", stream.id)
        return None if row is None else row[0]


class Emitted:
    """Which items the shared view has shown before, so that it doesn't repeat itself."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

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
