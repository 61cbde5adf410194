"""What was let out: released rows and the decoder's state.

The shared view may know this and what it emitted, and nothing else of the store (PRIVACY 1).
"""

from collections.abc import Iterator

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
