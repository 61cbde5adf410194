"""What is audited: the functions that a release passes through. By default the shipped ones."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ondevice.privacy import discrete_gaussian
from ondevice.privacy import stream as streams
from ondevice.privacy.randomness import Randomness
from ondevice.privacy.stream import StreamParameters
from ondevice.profile import steps
from ondevice.store import Entry, Recorded, RowMaker, Store, Stream, row_maker

F64 = NDArray[np.float64]
Step = tuple[int, ...]
Sampler = Callable[[int | Fraction, int, Randomness], list[int]]
RowFunction = Callable[[StreamParameters, Sequence[Step], Randomness], Step]
RowMaking = Callable[[RowFunction, Randomness], RowMaker]


def make_rows(row: RowFunction, randomness: Randomness) -> RowMaker:
    """Return what draws rows in a store, with `row` as its mechanism."""
    return row_maker(randomness, row=row)


def record(store: Store, batch: Sequence[Entry], make_row: RowMaker) -> list[Recorded]:
    """Record through the store's one way in."""
    return store.record_many(batch, make_row)


def tick(store: Store, stream: Stream, now: datetime, make_row: RowMaker) -> int:
    """Release the rows that are due at public times."""
    return store.tick(stream, now=now, make_row=make_row)


def released(store: Store, stream: Stream) -> Iterable[Step]:
    """Return the rows that whoever computes the shared view can read."""
    return store.releases.rows(stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """The functions between a behaviour's vector and what others may see of it."""

    name: str = "as shipped"
    parameters: Callable[..., StreamParameters] = StreamParameters.for_budget
    step: Callable[[F64, float], Step] = steps.step_of
    day: Callable[[Iterable[Step], int], Step] = steps.step_of_day
    sample: Sampler = discrete_gaussian.sample
    row: RowFunction = streams.row
    row_maker: RowMaking = make_rows
    record: Callable[[Store, Sequence[Entry], RowMaker], list[Recorded]] = record
    tick: Callable[[Store, Stream, datetime, RowMaker], int] = tick
    released: Callable[[Store, Stream], Iterable[Step]] = released


SHIPPED = Mechanism()
