"""Laws of the integer rule, for every vector there is."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ondevice.privacy.clipping import GRID, RADIUS, clip, to_grid

integers = st.lists(st.integers(-(2**80), 2**80), min_size=1, max_size=20)
near_the_radius = st.lists(st.integers(-RADIUS, RADIUS), min_size=1, max_size=6)
floats = st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=20)


@given(integers | near_the_radius)
def test_norm_never_exceeds_the_radius(values: list[int]) -> None:
    assert sum(x * x for x in clip(values)) <= RADIUS * RADIUS


@given(integers | near_the_radius)
def test_clipping_follows_the_rule_exactly(values: list[int]) -> None:
    total = sum(x * x for x in values)
    if total <= RADIUS**2:
        expected = tuple(values)
    else:
        root = math.isqrt(total)
        root += root * root < total
        expected = tuple(math.trunc(Fraction(x * RADIUS, root)) for x in values)

    assert clip(values) == expected


@given(integers | near_the_radius)
def test_clipping_twice_is_clipping_once(values: list[int]) -> None:
    once = clip(values)

    assert clip(once) == once


@given(floats, st.floats(-1, 1))
def test_steps_stay_in_the_ball_and_on_their_side(values: list[float], weight: float) -> None:
    step = to_grid(np.array(values), weight)

    assert sum(x * x for x in step) <= RADIUS * RADIUS
    for x, value in zip(step, values, strict=True):
        assert x * value * weight >= 0
        assert abs(x) <= abs(value * weight) * GRID * (1 + 1e-15)
