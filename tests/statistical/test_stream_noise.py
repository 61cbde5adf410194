"""The shipped mechanism, run for real: how large its noise is, and that rows share none."""

import math
import random

import numpy as np
import pytest

from ondevice.privacy.decoder import StreamState, advance, noise_variance
from ondevice.privacy.stream import StreamParameters, row

DELTA = 1e-6


class Seeded:
    """Repeatable bits, for tests only."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def bits(self, k: int) -> int:
        return self._source.getrandbits(k)

    def bytes(self, n: int) -> bytes:
        return self._source.randbytes(n)


@pytest.mark.parametrize(
    ("half_life", "factor", "steps", "dimension"),
    [(16, 1.70, 80, 2000), (64, 2.11, 224, 800), (256, 2.55, 640, 400)],
)
def test_noise_of_the_profile_over_one_single_release(
    half_life: int, factor: float, steps: int, dimension: int
) -> None:
    p = StreamParameters.for_budget(4.0, DELTA, dimension, half_life=half_life)
    state, source, empty = StreamState.start(p), Seeded(21), [(0,) * dimension]
    for _ in range(steps):
        state = advance(p, state, row(p, empty, source))
    measured = float(np.mean((state.v / p.grid) ** 2))
    error = math.sqrt(2 / dimension)  # relative, one standard deviation of a variance

    assert measured == pytest.approx(noise_variance(p, steps), rel=4 * error)
    over_single = math.sqrt(measured * 2 * p.rho)
    assert factor * (1 - 2 * error) < over_single < factor * 1.03 * (1 + 2 * error)


def test_noise_of_rows_has_the_stated_variance_and_no_memory() -> None:
    p = StreamParameters.for_budget(1.0, DELTA, 500, half_life=8)
    source = Seeded(22)
    rows = np.array([row(p, [(0,) * 500], source) for _ in range(60)], dtype=np.float64)
    rows /= math.sqrt(p.sigma2)
    n = rows.size

    assert abs(np.mean(rows**2) - 1) < 4 * math.sqrt(2 / n)
    for lag in (1, 2, 7):
        assert abs(np.mean(rows[lag:] * rows[:-lag])) < 4 / math.sqrt(n)
    assert abs(np.mean(rows[:, 1:] * rows[:, :-1])) < 4 / math.sqrt(n)


def test_only_the_signal_is_left_when_the_noise_is_averaged_out() -> None:
    """Rows of many streams with one history average to the banded sum."""
    p = StreamParameters.for_budget(8.0, DELTA, 1, half_life=3)
    source, n = Seeded(23), 4000
    mean = sum(row(p, [(9000,), (-4000,)], source)[0] for _ in range(n)) / n
    signal = p.coefficients[0] * 9000 - p.coefficients[1] * 4000

    assert abs(mean - signal) < 4 * math.sqrt(p.sigma2 / n)
