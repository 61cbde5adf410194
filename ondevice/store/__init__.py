"""What is kept about one person: encrypted, accounted for, and theirs alone."""

from ondevice.store.band import Row, RowMaker
from ondevice.store.behaviours import PastStep, PastSteps, Withdrawal
from ondevice.store.entries import Stream
from ondevice.store.feedback import FeedbackEvent
from ondevice.store.orders import Again, Carry
from ondevice.store.record import Entry, Recorded
from ondevice.store.rows import row_maker
from ondevice.store.store import Store

__all__ = [
    "Again",
    "Carry",
    "Entry",
    "FeedbackEvent",
    "PastStep",
    "PastSteps",
    "Recorded",
    "Row",
    "RowMaker",
    "Store",
    "Stream",
    "Withdrawal",
    "row_maker",
]
