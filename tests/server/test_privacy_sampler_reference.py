"""Our discrete Gaussian beside OpenDP's: two samples of one law, and of two when it should tell."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest

from ondevice.privacy.discrete_gaussian import sample
from ondevice.privacy.randomness import SystemRandomness

pytestmark = pytest.mark.server

COUNT = 40_000
SURE = 1e-7  # a false alarm once in ten million runs


def theirs(sigma: float, count: int = COUNT) -> list[int]:
    opendp = pytest.importorskip("opendp.prelude")
    opendp.enable_features("contrib")
    domain = opendp.vector_domain(opendp.atom_domain(T=int))
    measure = opendp.m.make_gaussian(domain, opendp.l2_distance(T=float), scale=sigma)
    return list(measure([0] * count))


def p_value(one: Sequence[int], other: Sequence[int]) -> float:
    """Chi-square of two samples of one size, over values and two tails that are seldom."""
    from scipy.stats import chi2

    a, b = Counter(one), Counter(other)
    common = sorted(value for value in {*a, *b} if a[value] + b[value] >= 40)
    low, high = common[0], common[-1]

    def counts(c: Counter[int]) -> list[int]:
        tails = [
            sum(n for v, n in c.items() if v < low),
            sum(n for v, n in c.items() if v > high),
        ]
        return [*(c[v] for v in range(low, high + 1)), *tails]

    cells = [(x, y) for x, y in zip(counts(a), counts(b), strict=True) if x + y]
    statistic = sum((x - y) ** 2 / (x + y) for x, y in cells)
    return float(chi2.sf(statistic, len(cells) - 1))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0, 40.0])
def test_two_samplers_draw_from_one_law(sigma: float) -> None:
    ours = sample(int(sigma**2) if sigma >= 1 else _quarter(), COUNT, SystemRandomness())
    assert p_value(ours, theirs(sigma)) > SURE


def _quarter() -> Fraction:
    return Fraction(1, 4)


def test_a_sampler_that_is_a_little_off_would_be_seen() -> None:
    ours = sample(10, COUNT, SystemRandomness())  # a standard deviation of 3.16, not 3
    assert p_value(ours, theirs(3.0)) < SURE
