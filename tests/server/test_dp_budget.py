"""The accountant of a private head, held against two others."""

import math

import pytest

from ondevice.errors import ConfigError
from server_tools.head import dp_budget

RATE, STEPS, DELTA = 0.15, 120, 1e-5


@pytest.fixture(scope="module")
def plans() -> dict[float, dp_budget.Budget]:
    return {
        epsilon: dp_budget.plan(epsilon, DELTA, sample_rate=RATE, steps=STEPS)
        for epsilon in (2.0, 8.0)
    }


def test_a_plan_spends_its_budget_and_no_more(plans: dict[float, dp_budget.Budget]) -> None:
    for epsilon, found in plans.items():
        assert 0.98 * epsilon < found.spent <= epsilon
    assert plans[2.0].noise > plans[8.0].noise


def test_the_figure_is_that_of_an_accountant_that_was_stepped(
    plans: dict[float, dp_budget.Budget],
) -> None:
    from opacus.accountants import RDPAccountant

    for found in plans.values():
        stepped = RDPAccountant()
        stepped.step(noise_multiplier=found.statistics_noise, sample_rate=1.0)
        for _ in range(STEPS):
            stepped.step(noise_multiplier=found.noise, sample_rate=RATE)
        assert found.spent == pytest.approx(stepped.get_epsilon(DELTA), rel=1e-9)


def test_the_figure_is_that_of_dp_accounting(plans: dict[float, dp_budget.Budget]) -> None:
    """Both compose Rényi DP under add-or-remove-one; this one's orders are finer."""
    accounting = pytest.importorskip("dp_accounting")
    for found in plans.values():
        accountant = accounting.rdp.RdpAccountant(
            neighboring_relation=accounting.NeighboringRelation.ADD_OR_REMOVE_ONE
        )
        accountant.compose(accounting.GaussianDpEvent(found.statistics_noise))
        accountant.compose(
            accounting.SelfComposedDpEvent(
                accounting.PoissonSampledDpEvent(RATE, accounting.GaussianDpEvent(found.noise)),
                STEPS,
            )
        )
        assert found.spent == pytest.approx(accountant.get_epsilon(DELTA), rel=0.02)


def test_statistics_are_composed_not_forgotten(plans: dict[float, dp_budget.Budget]) -> None:
    for found in plans.values():
        alone = dp_budget.epsilon_of([(found.noise, RATE, STEPS)], DELTA)
        assert (
            alone
            < found.spent
            < alone + dp_budget.epsilon_of([(found.statistics_noise, 1.0, 1)], DELTA)
        )


def test_a_statement_says_what_must_be_known(plans: dict[float, dp_budget.Budget]) -> None:
    said = plans[2.0].statement()
    assert said["epsilon"] == pytest.approx(plans[2.0].spent, abs=1e-6)
    assert said["delta"] == DELTA
    assert "user" in str(said["unit"])
    assert "opacus" in str(said["accountant"])
    assert "floating point" in str(said["floating_point"])
    assert dp_budget.PUBLIC == {"trained_on": "public data"}


@pytest.mark.parametrize(
    ("epsilon", "delta", "rate", "steps"),
    [(0.0, 1e-5, 0.1, 10), (math.inf, 1e-5, 0.1, 10), (1.0, 0.0, 0.1, 10), (1.0, 1e-5, 0.0, 10)],
)
def test_senseless_budgets_are_refused(
    epsilon: float, delta: float, rate: float, steps: int
) -> None:
    with pytest.raises(ConfigError, match="no budget"):
        dp_budget.plan(epsilon, delta, sample_rate=rate, steps=steps)
