"""What training on people's choices costs them: one accountant for all that is released.

A head with a budget releases two things: statistics, once, by a Gaussian mechanism of sensitivity
1; and a fixed number of gradient sums over users drawn anew for every step (Poisson sampling),
each clipped, with Gaussian noise. Neighbours differ by one user more or less. Both are composed in
Rényi DP by Opacus' accountant. Sources: Abadi et al. 2016, arXiv:1607.00133; Mironov et al. 2019,
arXiv:1908.10530. PRIVACY.md 6.
"""

import math
from dataclasses import dataclass
from typing import Any

from ondevice.errors import ConfigError

ACCOUNTANT = "RDP (opacus)"
UNIT = "user: everything that one person did, added or removed"
FLOATING = "noise of DP-SGD and of the statistics is floating point, not discrete"
STATISTICS_SHARE = 0.25  # of epsilon, if nothing else were released
_MOST = 1e4  # of a noise multiplier


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A plan that keeps to (epsilon, delta); noise multipliers are in units of the clip."""

    epsilon: float
    delta: float
    sample_rate: float  # chance of a user to be in a step
    steps: int
    noise: float  # of a step
    statistics_noise: float  # of the one release of statistics

    @property
    def spent(self) -> float:
        """Epsilon at `delta` of everything together; at most `epsilon`."""
        return epsilon_of(
            [(self.statistics_noise, 1.0, 1), (self.noise, self.sample_rate, self.steps)],
            self.delta,
        )

    def statement(self) -> dict[str, object]:
        """Return what is said about it, beside the space."""
        return {
            "trained_on": "private data of users, by user-level DP-SGD",
            "epsilon": round(self.spent, 6),
            "delta": self.delta,
            "unit": UNIT,
            "accountant": ACCOUNTANT,
            "floating_point": FLOATING,
            "sampling": "Poisson",
            "sample_rate": self.sample_rate,
            "steps": self.steps,
            "noise_multiplier": self.noise,
            "statistics_noise_multiplier": self.statistics_noise,
        }


PUBLIC: dict[str, object] = {"trained_on": "public data"}


def plan(epsilon: float, delta: float, *, sample_rate: float, steps: int) -> Budget:
    """Return the least noise that keeps to the budget.

    Raises:
        ConfigError: a number is out of range, or no noise is enough.
    """
    if not (0 < epsilon < math.inf and 0 < delta < 1 and 0 < sample_rate <= 1 and steps > 0):
        raise ConfigError(
            f"no budget: epsilon {epsilon}, delta {delta}, rate {sample_rate}, {steps} steps",
            hint="epsilon is positive and finite, delta between 0 and 1",
        )
    aside = _least(lambda noise: epsilon_of([(noise, 1.0, 1)], delta), STATISTICS_SHARE * epsilon)
    noise = _least(lambda z: epsilon_of([(aside, 1.0, 1), (z, sample_rate, steps)], delta), epsilon)
    return Budget(
        epsilon=epsilon,
        delta=delta,
        sample_rate=sample_rate,
        steps=steps,
        noise=noise,
        statistics_noise=aside,
    )


def epsilon_of(releases: list[tuple[float, float, int]], delta: float) -> float:
    """Return epsilon of releases (noise multiplier, sample rate, steps) by Opacus' accountant."""
    from opacus.accountants import RDPAccountant

    accountant: Any = RDPAccountant()
    accountant.history = list(releases)
    return float(accountant.get_epsilon(delta))


def _least(cost: Any, target: float) -> float:
    """Return the least noise, to 3 digits and from above, whose cost is at most `target`."""
    low, high = 0.0, 1.0
    while cost(high) > target:
        low, high = high, 2 * high
        if high > _MOST:
            raise ConfigError(
                f"no noise keeps to epsilon {target:g}", hint="give a larger epsilon or delta"
            )
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        if cost(middle) > target:
            low = middle
        else:
            high = middle
    return high
