"""Our accountant against three independent ones, which are test dependencies only."""

import numpy as np
import pytest

from ondevice.privacy.accountant import epsilon_of, rho_of

pytestmark = pytest.mark.server

DELTA = 1e-6
# PRIVACY.md 2: lifetime epsilon at delta 1e-6, and the rho it allows.
VECTORS = [(0.5, 0.00664), (1.0, 0.02436), (2.0, 0.08815), (4.0, 0.31106), (8.0, 1.05236)]
RHOS = [*(rho for _, rho in VECTORS), 5.0]
ORDERS = 1 + np.exp(np.linspace(-4, 6, 4001))


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-4])
def test_epsilon_is_that_of_dp_accounting(rho: float, delta: float) -> None:
    reference = pytest.importorskip("dp_accounting.rdp.rdp_privacy_accountant")
    expected, _ = reference.compute_epsilon(ORDERS, ORDERS * rho, delta)

    assert epsilon_of(rho, delta) == pytest.approx(expected, rel=1e-4)
    assert epsilon_of(rho, delta) <= expected * (1 + 1e-9)


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-4])
def test_epsilon_is_that_of_opacus(rho: float, delta: float) -> None:
    analysis = pytest.importorskip("opacus.accountants.analysis.rdp")
    expected, _ = analysis.get_privacy_spent(
        orders=ORDERS.tolist(), rdp=(ORDERS * rho).tolist(), delta=delta
    )

    assert epsilon_of(rho, delta) == pytest.approx(expected, rel=1e-4)
    assert epsilon_of(rho, delta) <= expected * (1 + 1e-9)


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-4])
def test_epsilon_is_that_of_opendp(rho: float, delta: float) -> None:
    """Its zCDP measure, turned into a curve of approximate DP: the same corollary."""
    opendp = pytest.importorskip("opendp.prelude")
    opendp.enable_features("contrib")
    space = opendp.vector_domain(opendp.atom_domain(T=int), size=1), opendp.l2_distance(T=float)
    mechanism = space >> opendp.m.then_gaussian(scale=1.0)
    curve = opendp.c.make_zCDP_to_approxDP(mechanism).map(float(np.sqrt(2 * rho)))

    assert epsilon_of(rho, delta) == pytest.approx(curve.epsilon(delta), rel=1e-6)


@pytest.mark.parametrize(("epsilon", "rho"), VECTORS)
def test_the_test_vectors_hold(epsilon: float, rho: float) -> None:
    assert rho_of(epsilon, DELTA) == pytest.approx(rho, abs=5e-6)
    assert epsilon_of(rho, DELTA) == pytest.approx(epsilon, rel=1e-3)
