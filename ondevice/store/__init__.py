"""What is kept about one person: encrypted, accounted for, and theirs alone."""

from ondevice.store.behaviours import PastStep, PastSteps
from ondevice.store.entries import Stream
from ondevice.store.feedback import FeedbackEvent
from ondevice.store.record import Entry, Recorded, Row, RowMaker
from ondevice.store.store import Store

__all__ = [
    "Entry",
    "FeedbackEvent",
    "PastStep",
    "PastSteps",
    "Recorded",
    "Row",
    "RowMaker",
    "Store",
    "Stream",
]
