"""Laws of rows at public times: sums are clipped, and one behaviour moves them by at most S."""

import math
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ondevice.privacy.cadence import DAY, Clock
from ondevice.privacy.clipping import RADIUS, clip, inner_radius
from ondevice.privacy.stream import StreamParameters
from ondevice.profile.steps import shares_of_day, step_of_day

D = 4
INNER = inner_radius(D)
large = st.integers(-3 * RADIUS, 3 * RADIUS)
steps = st.tuples(*[large] * D).map(lambda x: clip(x, INNER))
times = st.integers(10**9, 38 * 10**8).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
periods = st.sampled_from([300, 3600, 6 * 3600, DAY, 7 * DAY])


def length2(x: tuple[int, ...]) -> int:
    return sum(v * v for v in x)


def apart2(x: tuple[int, ...], y: tuple[int, ...]) -> int:
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))


# --- how far one behaviour, or a whole interval, moves a row's step ------------------------------


@given(st.lists(steps, max_size=6), steps)
def test_one_behaviour_moves_the_sum_of_its_interval_by_at_most_the_radius(
    others: list[tuple[int, ...]], one: tuple[int, ...]
) -> None:
    assert apart2(step_of_day([*others, one], D), step_of_day(others, D)) <= RADIUS**2


@given(st.lists(st.tuples(*[large] * D).map(clip), max_size=6))
def test_a_whole_interval_moves_it_by_at_most_the_radius(others: list[tuple[int, ...]]) -> None:
    assert length2(step_of_day(others, D)) <= RADIUS**2


@given(
    st.integers(1, 4096),
    st.integers(0, 2**32),
    st.floats(0.2, 30.0),
)
def test_the_inner_radius_is_short_enough_in_every_dimension(
    dimension: int, seed: int, reach: float
) -> None:
    """The worst direction: straight through the centre of the ball, with rounding against us."""
    import random

    dice = random.Random(seed)
    d = min(dimension, 300)
    axis = [dice.gauss(0, 1) for _ in range(d)]
    norm = math.sqrt(sum(a * a for a in axis))
    inner = inner_radius(d)
    one = clip([math.trunc(a / norm * inner) for a in axis], inner)
    rest = [math.trunc((reach - 0.5) * a / norm * RADIUS) for a in axis]
    whole = tuple(a + b for a, b in zip(rest, one, strict=True))
    assert apart2(clip(whole), clip(rest)) <= RADIUS**2


@given(
    st.lists(st.lists(steps, max_size=3), min_size=1, max_size=12),
    st.data(),
)
def test_all_rows_of_a_clock_move_by_a_bounded_amount(
    intervals: list[list[tuple[int, ...]]], data: st.DataObject
) -> None:
    """Zero out one behaviour somewhere: all rows together move as [P6] charges for."""
    p = StreamParameters.for_budget(4.0, 1e-6, D, half_life=4)
    full = [i for i, steps in enumerate(intervals) if steps]
    if not full:
        return
    where = data.draw(st.sampled_from(full))
    which = data.draw(st.integers(0, len(intervals[where]) - 1))
    other = [list(steps) for steps in intervals]
    del other[where][which]
    moved = 0
    days = [[step_of_day(steps, D) for steps in history] for history in (intervals, other)]
    for t in range(len(intervals)):
        newest = [history[max(0, t - p.band + 1) : t + 1][::-1] for history in days]
        signals = [
            tuple(
                sum(c * x[i] for c, x in zip(p.coefficients, inputs, strict=False))
                for i in range(D)
            )
            for inputs in newest
        ]
        moved += apart2(*signals)
    assert moved <= RADIUS**2 * sum(c * c for c in p.coefficients)


@given(st.lists(steps, min_size=1, max_size=6))
def test_shares_of_an_interval_sum_to_its_step(parts: list[tuple[int, ...]]) -> None:
    shares = shares_of_day(parts, D)
    total = step_of_day(parts, D)
    for i in range(D):
        assert abs(sum(share[i] for share in shares) - total[i]) <= len(parts) + 1


# --- when rows are due: a function of public numbers ---------------------------------------------


@given(times, periods, st.integers(0, 400))
def test_every_moment_lies_in_one_interval_and_rows_follow_its_end(
    now: datetime, period: int, later: int
) -> None:
    clock = Clock.every(period, now)
    assert clock.due(now) == 0
    assert clock.interval(now, released=0) == 1
    then = now + timedelta(seconds=later * period)
    assert clock.due(then) == later
    assert clock.ends(later) <= then < clock.ends(later + 1)
    assert clock.interval(then, released=0) == later + 1
    assert clock.due(now - timedelta(days=400)) == 0  # a clock set back releases nothing


@given(times, st.integers(-14 * 3600, 14 * 3600))
def test_a_day_begins_at_midnight_in_its_offset(now: datetime, offset: int) -> None:
    clock = Clock.daily(now, offset)
    local = datetime.fromtimestamp(clock.start + offset, UTC)
    assert (local.hour, local.minute, local.second) == (0, 0, 0)
    assert clock.start <= now.timestamp() < clock.start + DAY
    assert (clock.period, clock.offset) == (DAY, offset)


@given(times, periods, st.integers(0, 300), st.integers(0, 300))
def test_what_was_released_never_reopens(
    now: datetime, period: int, released: int, back: int
) -> None:
    clock = Clock.every(period, now)
    then = now + timedelta(seconds=period * (released - back))
    assert clock.interval(then, released=released) > released
