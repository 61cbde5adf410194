"""From zCDP to (epsilon, delta) and back, and into words for a person. Pure arithmetic.

[P8] is discharged in PROOF.md, next to this file. Source: Canonne, Kamath & Steinke 2020,
arXiv:2004.00010, Corollary 13.
"""

import math
from functools import lru_cache

from ondevice.errors import ConfigError

SLACK = 1e-12  # relative: more than float64 can lose here, less than anyone can see


def epsilon_of(rho: float, delta: float) -> float:
    """Return an epsilon >= 0 such that every rho-zCDP mechanism is (epsilon, delta)-DP.

    The bound `alpha rho + ln(1/(alpha delta))/(alpha-1) + ln(1-1/alpha)` holds at every
    alpha > 1, so an inexact minimiser can only overstate the cost. Its derivative,
    `rho - ln(1/(alpha delta))/(alpha-1)^2`, changes sign once in (1, 1/delta).

    Raises:
        ConfigError: `rho` is not finite and >= 0, or `delta` is not in (0, 1).
    """
    _check_delta(delta)
    if not 0.0 <= rho < math.inf:
        raise ConfigError(f"rho must be finite and >= 0, not {rho}")
    if rho == 0.0:
        return 0.0
    log_delta = math.log(delta)
    low, high = 0.0, -log_delta  # of ln(alpha)
    for _ in range(80):
        middle = (low + high) / 2
        if rho * math.expm1(middle) ** 2 < -log_delta - middle:
            low = middle
        else:
            high = middle
    excess = math.expm1(high)  # alpha - 1, without cancellation near 1
    bound = (1 + excess) * rho + (-log_delta - high) / excess + math.log(excess) - high
    return max(0.0, bound + SLACK * (1 + abs(bound)))


@lru_cache(maxsize=64)
def rho_of(epsilon: float, delta: float) -> float:
    """Return the largest rho (to 12 digits, from below) with `epsilon_of(rho, delta) <= epsilon`.

    Raises:
        ConfigError: `epsilon` is not finite and > 0, or `delta` is not in (0, 1).
    """
    _check_delta(delta)
    if not 0.0 < epsilon < math.inf:
        raise ConfigError(
            f"epsilon must be finite and > 0, not {epsilon}", hint="4 is the default for life"
        )
    low, high = 0.0, epsilon
    while epsilon_of(high, delta) <= epsilon:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        if epsilon_of(middle, delta) <= epsilon:
            low = middle
        else:
            high = middle
    return low


def odds(rho: float, delta: float) -> float:
    """Return N: by how much, at most, anyone's odds about one unit grow (PRIVACY.md 7).

    `N = e^(rho + 2 sqrt(rho ln(1/delta)))`, except with probability `delta`. Even odds become
    at most N to 1.

    Raises:
        ConfigError: `rho` is not finite and >= 0, or `delta` is not in (0, 1).
    """
    _check_delta(delta)
    if not 0.0 <= rho < math.inf:
        raise ConfigError(f"rho must be finite and >= 0, not {rho}")
    return math.exp(rho + 2 * math.sqrt(rho * -math.log(delta)))


def _check_delta(delta: float) -> None:
    if not 0.0 < delta < 1.0:
        raise ConfigError(
            f"delta must lie between 0 and 1, not {delta}", hint="1e-6 is the default"
        )
