"""Words that are older than a person wants them to be kept are forgotten by themselves."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ondevice import clock

if TYPE_CHECKING:
    from ondevice.service.session import Session


def limit(session: "Session", now: datetime | None = None) -> datetime | None:
    """Return the time before which no words are kept; None where all are.

    It is a midnight, so that the store is written anew once a day at most.
    """
    days = session.config.keep_text_days
    if days is None:
        return None
    midnight = (now or clock.now()).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=days)


def due(session: "Session", now: datetime | None = None) -> int:
    """Count the behaviours whose words are due to go."""
    from ondevice.store.forget import words_before

    before = limit(session, now)
    if before is None or not session.has_store:
        return 0
    return session.store.consult(lambda connection: words_before(connection, before))


def enforce(session: "Session", now: datetime | None = None) -> int:
    """Forget the words that are due, in the same way as `forget`; return how many behaviours.

    What stays: that something of its kind happened then, and its step in the profile.

    Raises:
        OnDeviceError: the disk doesn't take it; nothing was changed.
    """
    from ondevice.store.forget import delete_words

    before = limit(session, now)
    if before is None or not due(session, now):
        return 0
    count, _ = session.store.rewrite(lambda connection: delete_words(connection, before))
    return count
