"""The one place that reads the time. Everything else is handed a value."""

from datetime import UTC, datetime
from time import monotonic as _monotonic


def now() -> datetime:
    """Return the current time: aware, UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def utc_offset() -> int:
    """Return how many seconds this machine's zone lies east of UTC now: where a day begins."""
    offset = datetime.now(UTC).astimezone().utcoffset()
    return int(offset.total_seconds()) if offset else 0


def monotonic() -> float:
    """Return seconds from an arbitrary start that never run backwards: for rates and time-outs."""
    return _monotonic()
