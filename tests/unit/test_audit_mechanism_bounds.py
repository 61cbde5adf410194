"""The bounds of the audit against exact sums: none claims less than the truth, none far more."""

import math

import pytest

from ondevice.audit.mechanism import bounds


def exact_upper(k: int, n: int, p: float) -> float:
    """P(Binomial(n, p) >= k), term by term."""
    if p in (0.0, 1.0):
        return float(p == 1.0 or k == 0)
    return math.fsum(
        math.exp(
            math.lgamma(n + 1)
            - math.lgamma(j + 1)
            - math.lgamma(n - j + 1)
            + j * math.log(p)
            + (n - j) * math.log1p(-p)
        )
        for j in range(k, n + 1)
    )


@pytest.mark.parametrize(("n", "p"), [(10, 0.5), (40, 0.1), (60, 0.93), (25, 0.001)])
def test_the_binomial_tail_is_never_understated(n: int, p: float) -> None:
    for k in range(n + 1):
        side = exact_upper(k, n, p) if k >= n * p else exact_upper(n - k, n, 1 - p)
        bound = bounds.binomial_tail(k, n, p)
        assert side <= bound * (1 + 1e-9)
        if k > n * p:
            assert side <= bounds.repeats_tail(k, n, p) * (1 + 1e-9)
    assert bounds.repeats_tail(0, n, p) == 1.0


@pytest.mark.parametrize("n", [2, 10, 400])
def test_the_chi_square_tail_is_never_understated(n: int) -> None:
    """For an even number of degrees the tail is a Poisson sum."""
    for ratio in (1.1, 1.5, 3.0):
        half = n * ratio / 2
        upper = sum(math.exp(j * math.log(half) - half - math.lgamma(j + 1)) for j in range(n // 2))
        assert upper <= bounds.chi_square_tail(n * ratio, n)
    assert bounds.chi_square_tail(n, n) == 1.0
    assert bounds.chi_square_tail(0.0, n) == 0.0
    assert bounds.chi_square_tail(n / 400, n) < 1.0


def test_halving_the_deviation_of_ten_draws_is_not_impossible_of_a_thousand_it_is() -> None:
    assert bounds.chi_square_tail(10 / 4, 10) > 1e-2
    assert bounds.chi_square_tail(1000 / 4, 1000) < 1e-100


def test_the_product_tail_is_that_of_its_best_tilt() -> None:
    n, x = 50, 0.4
    tilts = [k / 1000 for k in range(1, 1000)]
    best = min(math.exp(-n * (t * x + math.log1p(-t * t) / 2)) for t in tilts)

    assert bounds.product_tail(n * x, n) == pytest.approx(2 * best, rel=1e-3)
    assert bounds.product_tail(-n * x, n) == bounds.product_tail(n * x, n)
    assert bounds.product_tail(0.0, n) == 1.0


def test_the_distance_tail_is_massart_s() -> None:
    assert bounds.distance_tail(0.1, 200) == pytest.approx(2 * math.exp(-4))
    assert bounds.distance_tail(-0.1, 200) == 1.0


@pytest.mark.parametrize(("k", "n"), [(0, 20), (1, 20), (7, 20), (20, 20), (300, 1000)])
@pytest.mark.parametrize("level", [0.025, 1e-8])
def test_limits_of_a_probability(k: int, n: int, level: float) -> None:
    low, high = bounds.clopper_pearson(k, n, level)
    if k > 0:
        assert exact_upper(k, n, low) == pytest.approx(level, rel=1e-6)
    if k < n:
        assert exact_upper(n - k, n, 1 - high) == pytest.approx(level, rel=1e-6)
    assert (low == 0.0) == (k == 0)
    assert (high == 1.0) == (k == n)

    wider = bounds.chernoff_limits(k, n, level)
    assert wider[0] <= low <= k / n <= high <= wider[1] + 1e-12


def test_the_beta_function_against_binomial_sums() -> None:
    for n, k, p in ((5, 2, 0.3), (200, 7, 0.05), (300, 290, 0.99), (2000, 1000, 0.5)):
        exact = exact_upper(k, n, p)
        assert bounds.beta_regularised(k, n - k + 1, p) == pytest.approx(exact, rel=1e-9)
    assert bounds.beta_regularised(3, 4, 0.0) == 0.0
    assert bounds.beta_regularised(3, 4, 1.0) == 1.0


def test_the_gaussian_trade_off_and_its_epsilon() -> None:
    mu, delta = math.sqrt(2 * 0.31106), 1e-6
    epsilon = bounds.gaussian_epsilon(mu, delta)

    assert 3.0 < epsilon < 4.0  # zCDP's conversion, 4, is an upper bound of it
    assert bounds.gaussian_delta(epsilon, mu) == pytest.approx(delta, rel=1e-6)
    assert bounds.gaussian_epsilon(0.0, delta) == bounds.gaussian_epsilon(1e-9, delta) == 0.0
    assert bounds.gaussian_epsilon(5.0, delta) > 20.0
    assert bounds.trade_off(0.0, mu) == 0.0
    assert bounds.trade_off(1.0, mu) == 1.0
    assert bounds.trade_off(0.5, mu) == pytest.approx(bounds.NORMAL.cdf(mu))
    assert bounds.probit(0.0) == -math.inf
    assert bounds.probit(1.0) == math.inf
