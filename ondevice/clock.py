"""The one place that reads the time. Everything else is handed a value."""

from datetime import UTC, datetime
from time import monotonic as _monotonic


def now() -> datetime:
    """Return the current time: aware, UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def monotonic() -> float:
    """Return seconds from an arbitrary start that never run backwards: for rates and time-outs."""
    return _monotonic()
