"""The one place that reads the time. Everything else is handed a value."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time: aware, UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
