"""The public numbers of a stream, derived again in exact arithmetic by other means.

The shipped code computes coefficients in sixty decimal digits and the accountant in float64.
Here the coefficients are compared as h-th powers of integers, the cost is a fraction, and the
conversion to epsilon is evaluated in fifty digits at one explicit order.
"""

import dataclasses
import math
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

import numpy as np

from ondevice.audit.mechanism.findings import Finding, verdict
from ondevice.audit.mechanism.subject import Mechanism
from ondevice.errors import ConfigError
from ondevice.privacy.clipping import RADIUS
from ondevice.privacy.stream import GRAIN, StreamParameters

NAME = "mechanism.parameters"
DELTA = 1e-6
VECTORS = {0.5: 0.00664, 1.0: 0.02436, 2.0: 0.08815, 4.0: 0.31106, 8.0: 1.05236}  # of rho
TOLERANCE = Decimal("1e-10")  # float64 in the accountant; nobody can tell it from 0
HALF_LIVES = (1, 2, 8, 16, 64, 256)


def check(subject: Mechanism, own: Sequence[StreamParameters]) -> Finding:
    """Derive the parameters of many streams again, and of the person's `own`."""
    problems: list[str] = []
    for epsilon, rho in VECTORS.items():
        p = subject.parameters(epsilon, DELTA, 2, half_life=8)
        problems += wrong(p)
        if not math.isclose(p.rho, rho, abs_tol=6e-6):
            problems.append(f"epsilon {epsilon:g} costs rho {p.rho:.5f}, not {rho}")
    tried = [subject.parameters(4.0, DELTA, 3, half_life=h) for h in HALF_LIVES]
    tried.append(subject.parameters(4.0, DELTA, 3, half_life=8, band=16))
    for p in (*tried, *own):
        problems += wrong(p)
    problems += _accepted(tried[0])
    smallest = min(_smallest_zero(p) for p in tried if p.band > 1)
    if smallest <= 1.0:
        problems.append(f"decoding is unstable: a zero at {smallest:.4f}")
    return verdict(
        NAME,
        problems,
        passed=f"rho, epsilon, coefficients and zeros of {len(tried) + len(VECTORS)} streams and "
        f"{len(own)} of your own agree with an exact second derivation",
        measured={"streams": len(tried) + len(VECTORS) + len(own), "smallest_zero": smallest},
    )


def wrong(p: StreamParameters) -> list[str]:
    """Return what does not hold of `p`, one sentence each."""
    found: list[str] = []
    name = f"the stream of epsilon {p.epsilon:g}, half-life {p.half_life}"
    c = p.coefficients
    if any(type(x) is not int for x in (*c, p.sigma2, p.clip, p.grid)):
        return [f"{name} has a parameter that is not a whole number"]
    if (p.clip, p.grid, c[0]) != (RADIUS, RADIUS, 1 << GRAIN):
        found.append(f"{name} has another radius, grid or first coefficient than is proved")
    if c[-1] < 1 or any(later >= earlier for earlier, later in pairwise(c)):
        found.append(f"{name} has coefficients that do not fall, so decoding may be unstable")
    far = [k for k, value in enumerate(c) if not is_root(value, k, p.half_life)]
    if far:
        found.append(f"{name}: coefficient {far[0]} is not the rounded square root")
    cost = Fraction(p.clip**2 * sum(x * x for x in c), 2 * p.sigma2)
    if cost > Fraction(p.rho):
        found.append(f"{name} costs rho {float(cost):.6g} and says {p.rho:.6g}")
    if (bound := epsilon_bound(cost, p.delta)) > Decimal(p.epsilon) + TOLERANCE:
        found.append(f"{name} costs epsilon {bound:.6g} at delta {p.delta:g}")
    return found


def is_root(value: int, k: int, half_life: int) -> bool:
    """Whether `value` is within 1/2 of 2^GRAIN beta^k binom(2k,k)/4^k.

    Both sides are raised to the power of the half-life, which makes beta^k the number 2^-k.
    """
    target = ((1 << (GRAIN + 1)) * math.comb(2 * k, k)) ** half_life
    scale = 1 << (2 * k * half_life + k)
    low, high = 2 * value - 1, 2 * value + 1
    return low >= 0 and low**half_life * scale <= target <= high**half_life * scale


def epsilon_bound(rho: Fraction, delta: float) -> Decimal:
    """Return an epsilon at which every `rho`-zCDP mechanism is (epsilon, `delta`)-DP.

    `alpha rho + ln(1/(alpha delta))/(alpha-1) + ln(1-1/alpha)` at one alpha > 1: each order
    gives a bound, so a badly chosen one can only overstate (Canonne, Kamath & Steinke 2020).
    """
    low, high = 0.0, -math.log(delta)  # of ln(alpha)
    for _ in range(60):
        middle = (low + high) / 2
        falling = float(rho) * math.expm1(middle) ** 2 < -math.log(delta) - middle
        low, high = (middle, high) if falling else (low, middle)
    with localcontext() as context:
        context.prec = 50
        alpha = 1 + Decimal(max(math.expm1(high), 1e-9))
        exact = Decimal(rho.numerator) / Decimal(rho.denominator)
        tail = -(alpha * Decimal(delta)).ln() / (alpha - 1)
        return max(Decimal(0), alpha * exact + tail + (1 - 1 / alpha).ln())


def _accepted(p: StreamParameters) -> list[str]:
    """Return which false claims can be constructed all the same."""
    lies: dict[str, dict[str, object]] = {
        "a quarter of the noise": {"sigma2": max(1, p.sigma2 // 4)},
        "half the cost": {"rho": p.rho / 2},
        "half the epsilon": {"epsilon": p.epsilon / 2},
        "a larger radius": {"clip": 2 * p.clip},
        "larger coefficients": {"coefficients": tuple(2 * c for c in p.coefficients)},
    }
    found = []
    for lie, changes in lies.items():
        try:
            dataclasses.replace(p, **changes)  # type: ignore[arg-type]  # the values are lies
        except ConfigError:
            continue
        found.append(f"a stream that claims {lie} is not refused")
    return found


def _smallest_zero(p: StreamParameters) -> float:
    return float(np.abs(np.roots(p.coefficients[::-1])).min())
