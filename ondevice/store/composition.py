"""What streams cost together. Pure: of what entered several, and of how long each ran.

With unit = behaviour a behaviour enters the stream of one space, so what it is charged is the sum
over the streams it entered, and the profile's cost is the largest such sum (parallel
composition). With unit = day a stream takes every day while it is open, so a day is charged by
all streams that were open on it. [P17] is discharged in PROOF.md.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ondevice.store.entries import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How far the streams of a ledger got."""

    rows: Mapping[int, int]  # stream → rows; those without are left out
    closed: Collection[int]  # streams that take no more rows
    several: Sequence[Collection[int]]  # the streams of each behaviour that entered more than one


def composed(streams: Sequence["Stream"], ran: Ran) -> float:
    """Return rho of the unit that is charged most."""
    rho = {stream.id: stream.parameters.rho for stream in streams}
    sums = (math.fsum(rho.get(each, 0.0) for each in entered) for entered in ran.several)
    return max([0.0, *rho.values(), *sums, _busiest_day(streams, ran)])


def _busiest_day(streams: Iterable["Stream"], ran: Ran) -> float:
    """Return the largest sum of rho over streams of days that were open on one day."""
    spans = [(*_span(stream, ran), stream.parameters.rho) for stream in streams if _daily(stream)]
    return max(
        (math.fsum(rho for begin, end, rho in spans if begin <= at < end) for at, _, _ in spans),
        default=0.0,
    )


def _daily(stream: "Stream") -> bool:
    return stream.unit == "day"


def _span(stream: "Stream", ran: Ran) -> tuple[float, float]:
    """Return from when until when `stream` takes days; one without a clock could be any."""
    clock = stream.clock
    if clock is None:
        return -math.inf, math.inf
    if stream.id not in ran.closed:
        return clock.start, math.inf
    return clock.start, clock.start + clock.period * ran.rows.get(stream.id, 0)
