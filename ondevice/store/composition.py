"""What streams cost together. Pure: of what entered several, and of how long each ran.

With unit = behaviour a behaviour enters the stream of one space, so what it is charged is the sum
over the streams it entered, and the profile's cost is the largest such sum (parallel
composition). With unit = day a stream takes every day while it is open, so a day is charged by
all streams that were open on it. [P17] is discharged in PROOF.md.
"""

import math
from collections.abc import Collection, Mapping, Sequence
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
    return max((charged_by(stream, streams, ran) for stream in streams), default=0.0)


def charged_by(stream: "Stream", streams: Sequence["Stream"], ran: Ran) -> float:
    """Return rho of the unit that is charged most, of those that enter `stream`."""
    rho = {each.id: each.parameters.rho for each in streams}
    sums = [
        math.fsum(rho.get(each, 0.0) for each in entered)
        for entered in ran.several
        if stream.id in entered
    ]
    return max([rho[stream.id], *sums, _busiest_day(stream, streams, ran)])


def _busiest_day(stream: "Stream", streams: Sequence["Stream"], ran: Ran) -> float:
    """Return the largest sum of rho over streams of days that were open on a day of `stream`."""
    if stream.unit != "day":
        return 0.0
    days = [each for each in streams if each.unit == "day"]
    spans = [(*_span(each, ran), each.parameters.rho) for each in days]
    first, last = _span(stream, ran)
    starts = [first, *(begin for begin, _, _ in spans if first < begin < last)]
    return max(math.fsum(rho for begin, end, rho in spans if begin <= at < end) for at in starts)


def _span(stream: "Stream", ran: Ran) -> tuple[float, float]:
    """Return from when until when `stream` takes days; one without a clock could be any."""
    clock = stream.clock
    if clock is None:
        return -math.inf, math.inf
    if stream.id not in ran.closed:
        return clock.start, math.inf
    return clock.start, clock.start + clock.period * ran.rows.get(stream.id, 0)
