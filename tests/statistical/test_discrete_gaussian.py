"""The sampler against exact probabilities, with fixed seeds: it passes or fails for ever."""

import math
import random
from collections import Counter
from fractions import Fraction

import pytest

from ondevice.privacy.discrete_gaussian import sample

DRAWS = 100_000


class Seeded:
    """Repeatable bits, for tests only."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def bits(self, k: int) -> int:
        return self._source.getrandbits(k)

    def bytes(self, n: int) -> bytes:
        return self._source.randbytes(n)


def chi_square(draws: list[int], variance: Fraction) -> tuple[float, int]:
    """Return the statistic over cells with an expectation >= 10, and its degrees of freedom."""
    sigma = math.sqrt(variance)
    support = range(-math.ceil(12 * sigma), math.ceil(12 * sigma) + 1)
    weights = {z: math.exp(-z * z / (2 * float(variance))) for z in support}
    total = sum(weights.values())
    counts = Counter(draws)
    cells, rest_expected, rest_seen = [], 0.0, len(draws)
    for z in support:
        expected = len(draws) * weights[z] / total
        if expected >= 10:
            cells.append((counts[z], expected))
            rest_seen -= counts[z]
        else:
            rest_expected += expected
    cells.append((rest_seen, rest_expected))
    return sum((seen - e) ** 2 / e for seen, e in cells), len(cells) - 1


def acceptable(freedom: int) -> float:
    """The 1 - 1e-4 quantile of chi-square, by Wilson and Hilferty."""
    h = 2 / (9 * freedom)
    return freedom * (1 - h + 3.719 * math.sqrt(h)) ** 3


@pytest.mark.parametrize("sigma", [Fraction(1, 2), Fraction(1), Fraction(3), Fraction(5, 3)])
def test_draws_follow_the_exact_probabilities(sigma: Fraction) -> None:
    statistic, freedom = chi_square(sample(sigma**2, DRAWS, Seeded(11)), sigma**2)

    assert statistic < acceptable(freedom)


def test_the_test_would_see_a_wrong_sigma() -> None:
    draws = sample(Fraction(9), DRAWS, Seeded(11))

    statistic, freedom = chi_square(draws, Fraction(9) * Fraction(104, 100))
    assert statistic > acceptable(freedom)


def test_the_test_would_see_a_rounded_gaussian() -> None:
    source = random.Random(11)
    draws = [round(source.gauss(0, 0.5)) for _ in range(DRAWS)]

    statistic, freedom = chi_square(draws, Fraction(1, 4))
    assert statistic > acceptable(freedom)


@pytest.mark.parametrize("bits", [20, 60, 64])
def test_large_variances_have_the_right_moments_and_quantiles(bits: int) -> None:
    n = 40_000
    scaled = sorted(z / 2 ** (bits / 2) for z in sample(2**bits, n, Seeded(12)))

    assert abs(sum(scaled) / n) < 4 / math.sqrt(n)
    assert abs(sum(z * z for z in scaled) / n - 1) < 4 * math.sqrt(2 / n)
    distance = max(
        abs((i + 0.5) / n - 0.5 * math.erfc(-z / math.sqrt(2))) for i, z in enumerate(scaled)
    )
    assert distance < 2.2 / math.sqrt(n)  # Kolmogorov: exceeded once in 8,000
