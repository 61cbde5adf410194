"""The integer rule, by hand-computed examples. Its laws are in tests/property."""

import numpy as np
import pytest

from ondevice.errors import ConfigError, IntegrityError
from ondevice.privacy.clipping import RADIUS, clip, require_clipped, to_grid


def test_truncation_is_toward_zero_on_both_sides() -> None:
    vector = np.array([0.5, -0.5, 1.9 / RADIUS, -1.9 / RADIUS])

    assert to_grid(vector) == (8192, -8192, 1, -1)


def test_a_weight_scales_before_truncation_and_may_be_negative() -> None:
    assert to_grid(np.array([1.0, 0.0], dtype=np.float32), -0.6) == (-9830, 0)


def test_a_long_vector_is_scaled_by_the_rule() -> None:
    # N = 5 * 16384^2, ceil(sqrt N) = 36636, 32768 * 16384 / 36636 = 14654.28...
    assert clip([2 * RADIUS, -RADIUS]) == (14654, -7327)


def test_exactly_the_radius_is_left_alone_and_one_more_is_not() -> None:
    assert clip([RADIUS, 0]) == (RADIUS, 0)
    assert clip([RADIUS, 1]) == (RADIUS * RADIUS // (RADIUS + 1), 0)


def test_a_vector_no_machine_integer_holds_is_clipped_too() -> None:
    assert clip([10**40, 0]) == (RADIUS, 0)
    assert to_grid(np.array([1e300, -1e300])) == (11585, -11585)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.7e308])
def test_what_is_not_a_number_is_refused(bad: float) -> None:
    with pytest.raises(IntegrityError, match="not finite"):
        to_grid(np.array([0.0, bad]))


@pytest.mark.parametrize("weight", [1.01, -1.01, float("nan")])
def test_a_weight_outside_its_range_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match="weight"):
        to_grid(np.array([1.0]), weight)


def test_a_step_outside_the_ball_is_refused_and_one_on_it_is_not() -> None:
    require_clipped((RADIUS, 0))
    with pytest.raises(IntegrityError, match="nothing was released"):
        require_clipped((RADIUS, 1))
