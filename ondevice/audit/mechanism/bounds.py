"""Tail bounds that hold for every sample size, and the confidence limits that are reported.

Everything that may make the audit fail is a Chernoff bound: true for finite samples, with no
table and no approximation in it. Clopper-Pearson limits are used for what is only reported.
[A2]-[A6] are discharged in ../../privacy/PROOF.md.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

NORMAL = NormalDist()


def divergence(q: float, p: float) -> float:
    """Return the Kullback-Leibler divergence of Bernoulli(q) from Bernoulli(p), in nats."""
    if q in (0.0, 1.0):
        return -math.log1p(-p) if q == 0.0 else -math.log(p)
    return q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))


def binomial_tail(k: int, n: int, p: float) -> float:
    """Bound the chance that Binomial(n, p) is at least as far from its mean as `k`, two-sided.

    Chernoff and Hoeffding: each side has at most `exp(-n KL(k/n || p))` [A2].
    """
    return min(1.0, 2 * math.exp(-n * divergence(k / n, p)))


def chi_square_tail(total: float, n: int) -> float:
    """Bound the chance that a sum of n squared standard normals is as far from n as `total`.

    Each side has at most `exp(-n/2 (r - 1 - ln r))`, r = total/n [A3].
    """
    ratio = total / n
    if ratio <= 0.0:
        return 0.0
    return min(1.0, 2 * math.exp(-n / 2 * (ratio - 1 - math.log(ratio))))


def product_tail(total: float, n: int) -> float:
    """Bound the chance that a sum of n products of independent standard normals exceeds |total|.

    `E exp(l a b) = (1 - l^2)^(-1/2)`, so each side has at most
    `exp(-n (l x + ln(1 - l^2) / 2))` with x = |total|/n, at any l in (0, 1) [A4].
    """
    x = abs(total) / n
    if x == 0.0:
        return 1.0
    tilt = 2 * x / (1 + math.sqrt(1 + 4 * x * x))
    return min(1.0, 2 * math.exp(-n * (tilt * x + math.log1p(-tilt * tilt) / 2)))


def repeats_tail(k: int, n: int, p: float) -> float:
    """Bound the chance that Binomial(n, p) is `k` or more, one-sided [A4]."""
    if k <= n * p:
        return 1.0
    return math.exp(-n * divergence(k / n, p))


def distance_tail(distance: float, n: int) -> float:
    """Bound the chance that an empirical distribution is `distance` off somewhere [A5].

    Dvoretzky, Kiefer and Wolfowitz, with Massart's constant: `2 exp(-2 n d^2)`.
    """
    return min(1.0, 2 * math.exp(-2 * n * max(0.0, distance) ** 2))


def chernoff_limits(k: int, n: int, level: float) -> tuple[float, float]:
    """Return limits of a probability; each one is wrong with chance at most `level` [A6]."""
    seen, wanted = k / n, math.log(1 / level) / n

    def limit(low: float, high: float) -> float:
        """Bisect towards `low`'s side of the p with divergence `wanted`; rounds outward."""
        for _ in range(60):
            middle = (low + high) / 2
            if divergence(seen, middle) >= wanted:
                low = middle
            else:
                high = middle
        return low

    return (limit(0.0, seen) if k else 0.0), (limit(1.0, seen) if k < n else 1.0)


def clopper_pearson(k: int, n: int, level: float) -> tuple[float, float]:
    """Return exact limits of a probability; each one is wrong with chance at most `level`."""
    low = 0.0 if k == 0 else _solve(lambda p: beta_regularised(k, n - k + 1, p), level)
    high = 1.0 if k == n else 1 - _solve(lambda p: beta_regularised(n - k, k + 1, p), level)
    return low, high


def beta_regularised(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), by its continued fraction."""
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_regularised(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    upper, lower = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value, change = lower, 0.0
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            lower = 1 / _away_from_zero(1 + term * lower)
            upper = _away_from_zero(1 + term / upper)
            change = upper * lower
            value *= change
        if abs(change - 1) < 1e-14:
            break
    return front * value / a


def gaussian_delta(epsilon: float, mu: float) -> float:
    """Return the least delta at which a mechanism with trade-off G_mu is (epsilon, delta)-DP."""
    shift = epsilon / mu
    return NORMAL.cdf(mu / 2 - shift) - math.exp(epsilon) * NORMAL.cdf(-mu / 2 - shift)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Return the least epsilon of a mechanism with trade-off G_mu; 0 where mu gives nothing."""
    if mu <= 0.0 or gaussian_delta(0.0, mu) <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while gaussian_delta(high, mu) > delta:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_delta(middle, mu) > delta else (low, middle)
    return high


def trade_off(false_positive: float, mu: float) -> float:
    """Return the most true positives that G_mu allows at this rate of false ones."""
    if false_positive in (0.0, 1.0):
        return false_positive
    return NORMAL.cdf(NORMAL.inv_cdf(false_positive) + mu)


def probit(p: float) -> float:
    """Return the normal quantile, infinite at 0 and 1."""
    if p in (0.0, 1.0):
        return -math.inf if p == 0.0 else math.inf
    return NORMAL.inv_cdf(p)


def _away_from_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300


def _solve(rising: Callable[[float], float], level: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > level else (middle, high)
    return low
