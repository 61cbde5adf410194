"""From vectors to steps of one behaviour and of one day."""

import numpy as np
import pytest

from ondevice.errors import ConfigError, IntegrityError
from ondevice.privacy.clipping import RADIUS
from ondevice.profile.steps import step_of, step_of_day


def test_a_step_is_the_weighted_vector_on_the_grid() -> None:
    assert step_of(np.array([0.6, -0.8], dtype=np.float32), 0.5) == (4915, -6553)
    assert step_of(np.array([3.0, 4.0], dtype=np.float32), 1.0) == (9830, 13107)


def test_what_no_step_can_be_made_of() -> None:
    with pytest.raises(ConfigError):
        step_of(np.array([1.0]), 2.0)
    with pytest.raises(IntegrityError):
        step_of(np.array([np.nan]), 1.0)


def test_a_day_is_the_sum_of_its_steps_clipped_once() -> None:
    assert step_of_day([(3, -4), (5, 1)], 2) == (8, -3)
    assert step_of_day([(RADIUS, 0)] * 9, 2) == (RADIUS, 0)
    assert step_of_day([], 3) == (0, 0, 0)
