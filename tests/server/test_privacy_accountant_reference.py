"""Our accountant against an independent one, which is a test dependency only."""

import numpy as np
import pytest

from ondevice.privacy.accountant import epsilon_of

reference = pytest.importorskip("dp_accounting.rdp.rdp_privacy_accountant")

pytestmark = pytest.mark.server


@pytest.mark.parametrize("rho", [0.00664, 0.02436, 0.08815, 0.31106, 1.05236, 5.0])
@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-4])
def test_epsilon_is_that_of_the_reference(rho: float, delta: float) -> None:
    orders = 1 + np.exp(np.linspace(-4, 6, 4001))
    expected, _ = reference.compute_epsilon(orders, orders * rho, delta)

    assert epsilon_of(rho, delta) == pytest.approx(expected, rel=1e-4)
    assert epsilon_of(rho, delta) <= expected * (1 + 1e-9)
