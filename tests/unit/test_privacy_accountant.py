"""The accountant against published vectors and against its own definition."""

import math

import numpy as np
import pytest

from ondevice.errors import ConfigError
from ondevice.privacy.accountant import epsilon_of, odds, rho_of

DELTA = 1e-6
VECTORS = [(0.5, 0.00664), (1.0, 0.02436), (2.0, 0.08815), (4.0, 0.31106), (8.0, 1.05236)]


@pytest.mark.parametrize(("epsilon", "rho"), VECTORS)
def test_vectors_at_delta_one_in_a_million(epsilon: float, rho: float) -> None:
    assert rho_of(epsilon, DELTA) == pytest.approx(rho, abs=0.6e-5)


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.5, 1.0, 4.0, 8.0, 20.0])
@pytest.mark.parametrize("delta", [1e-12, 1e-6, 1e-3, 0.5])
def test_there_and_back_never_exceeds_what_was_asked(epsilon: float, delta: float) -> None:
    back = epsilon_of(rho_of(epsilon, delta), delta)

    assert epsilon * (1 - 1e-9) - 1e-9 <= back <= epsilon


@pytest.mark.parametrize("rho", [1e-9, 1e-4, 0.02, 0.31106, 1.05, 10.0, 1e4])
def test_no_alpha_on_a_fine_grid_beats_the_minimum(rho: float) -> None:
    excess = np.exp(np.linspace(math.log(1e-6), math.log(1e6), 200_001))
    alpha = 1 + excess
    bounds = alpha * rho - np.log(alpha * DELTA) / excess + np.log(excess / alpha)
    best = max(0.0, float(bounds.min()))

    assert epsilon_of(rho, DELTA) == pytest.approx(best, rel=1e-6, abs=1e-6)
    assert epsilon_of(rho, DELTA) <= best + 1e-9 * (1 + best)


def test_cost_grows_with_rho_and_nothing_costs_nothing() -> None:
    costs = [epsilon_of(rho, DELTA) for rho in (0.0, 1e-3, 0.1, 1.0, 5.0)]

    assert costs[0] == 0.0
    assert costs == sorted(costs)
    assert len(set(costs)) == 5


def test_odds_at_the_default_are_those_of_the_documentation() -> None:
    n = odds(rho_of(4.0, DELTA), DELTA)

    assert n / (n + 1) == pytest.approx(0.989, abs=0.0006)
    assert odds(0.0, DELTA) == 1.0


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0, math.nan])
def test_an_impossible_delta_is_refused(delta: float) -> None:
    for call in (epsilon_of, rho_of, odds):
        with pytest.raises(ConfigError, match="delta"):
            call(1.0, delta)


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_impossible_costs_are_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="rho"):
        epsilon_of(value, DELTA)
    with pytest.raises(ConfigError, match="rho"):
        odds(value, DELTA)
    with pytest.raises(ConfigError, match="epsilon"):
        rho_of(value, DELTA)
    with pytest.raises(ConfigError, match="epsilon"):
        rho_of(0.0, DELTA)
