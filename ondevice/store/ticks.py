"""Rows that come at public times, and rows of what was told to enter a stream again.

Every interval gets its row, also an empty one, and one that ended while no program ran gets it
later: what is released must not depend on how often somebody looked. A row is made in one
transaction with what waited for it, so two processes never make it twice, and a crash leaves it
due.
"""

from datetime import datetime

from ondevice.store.band import Band, RowMaker, has_ended
from ondevice.store.connection import Connection
from ondevice.store.entries import Stream

PAGE = 250  # rows in one transaction: other writers get their turn between


def tick(
    connection: Connection, stream: Stream, *, now: datetime, make_row: RowMaker, limit: int
) -> int:
    """Release what is due in `stream`, at most `limit` rows; return how many there were."""
    done = 0
    while done < limit and _is_due(connection, stream, now):
        with connection.transaction():
            if has_ended(connection, stream):
                return done
            band = Band(connection, stream)
            if stream.clock is None:
                made = band.release_waiting(make_row, min(PAGE, limit - done))
            else:
                made = min(PAGE, limit - done, max(0, stream.clock.due(now) - band.t))
                for _ in range(made):
                    band.release_due(make_row)
            if made:
                band.save()
        done += made
    return done


def rows_due(connection: Connection, stream: Stream, now: datetime) -> int:
    """Return how many rows are due and not released."""
    if stream.clock is None:
        found = connection.row("select count(*) from waiting where stream = ?", stream.id)
        return found[0] if found else 0
    found = connection.row("select t from decoders where stream = ?", stream.id)
    return max(0, stream.clock.due(now) - (found[0] if found else 0))


def _is_due(connection: Connection, stream: Stream, now: datetime) -> bool:
    return rows_due(connection, stream, now) > 0
