"""The noise of real rows: how large it is, how it is spread, and that no two rows share any.

One table of rows is drawn through the audited row function, with nothing in the stream. Divided
by the claimed sigma its cells are independent and normal up to an error of 1/sigma, below 1e-8
in every probability (sigma is above 2^28): [A3] to [A5] in PROOF.md.
"""

import math
from dataclasses import dataclass

import numpy as np

from ondevice.audit.mechanism import bounds
from ondevice.audit.mechanism.findings import Finding, verdict
from ondevice.audit.mechanism.level import Level
from ondevice.audit.mechanism.subject import F64, Mechanism
from ondevice.privacy.randomness import Randomness

SPARE = 1e-6  # more than a discrete Gaussian of sigma > 2^28 differs from a continuous one
LAGS = (1, 2, 3, 4, 8, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Rows of nothing but noise, as drawn and in units of the claimed sigma."""

    drawn: tuple[tuple[int, ...], ...]
    scaled: F64  # (rows, coordinates)
    sigma: float


def draw(subject: Mechanism, randomness: Randomness, *, rows: int, coordinates: int) -> Noise:
    """Draw `rows` rows of a stream in which nothing happens."""
    p = subject.parameters(4.0, 1e-6, coordinates, half_life=2)
    empty = [(0,) * coordinates]
    drawn = tuple(subject.row(p, empty, randomness) for _ in range(rows))
    sigma = math.sqrt(p.sigma2)
    return Noise(drawn=drawn, scaled=np.array(drawn, dtype=np.float64) / sigma, sigma=sigma)


def check_variance(noise: Noise) -> Finding:
    """The mean square is sigma^2."""
    n = noise.scaled.size
    total = float((noise.scaled**2).sum())
    level = Level("mechanism.variance", planned=1)
    ratio = math.sqrt(total / n)
    problems = []
    if level.impossible(bounds.chi_square_tail(total, n)):
        problems.append(f"the noise has {ratio:.3f} times the standard deviation that was claimed")
    return verdict(
        "mechanism.variance",
        problems,
        passed=f"over {n} draws the noise has {ratio:.4f} times the claimed standard deviation",
        measured={"draws": n, "sigma_over_claimed": ratio, "level": level.each},
    )


def check_fit(noise: Noise) -> Finding:
    """The whole distribution is the claimed one."""
    ordered = np.sort(noise.scaled, axis=None)
    n = len(ordered)
    expected = np.array([bounds.NORMAL.cdf(z) for z in ordered.tolist()])
    steps = np.arange(n + 1) / n
    distance = float(max(np.max(steps[1:] - expected), np.max(expected - steps[:-1])))
    level = Level("mechanism.fit", planned=1)
    problems = []
    if level.impossible(bounds.distance_tail(distance - SPARE, n)):
        problems.append(f"the distribution of the noise is off by {distance:.4f}")
    return verdict(
        "mechanism.fit",
        problems,
        passed=f"over {n} draws the distribution is off by {distance:.4f} at most, which is chance",
        measured={"draws": n, "distance": distance, "level": level.each},
    )


def check_cross_row(noise: Noise) -> Finding:
    """No row knows another: pairs of rows, lags, neighbouring coordinates, and repeated values."""
    rows, coordinates = noise.scaled.shape
    lags = [lag for lag in LAGS if 2 * lag <= rows]
    level = Level("mechanism.cross_row", planned=rows * (rows - 1) // 2 + 2 * len(lags) + 3)
    problems = []
    products = noise.scaled @ noise.scaled.T
    worst = 0.0
    for one in range(rows):
        for other in range(one):
            total = float(products[one, other])
            worst = max(worst, abs(total) / coordinates)
            if level.impossible(bounds.product_tail(total, coordinates)):
                problems.append(
                    f"rows {other + 1} and {one + 1} share noise: their correlation is "
                    f"{total / coordinates:.3f}"
                )
    for lag in lags:
        for total, n in _disjoint(noise.scaled, lag):
            if level.impossible(bounds.product_tail(total, n)):
                problems.append(f"rows {lag} apart have a correlation of {total / n:.3f}")
    for total, n in _disjoint(noise.scaled.T, 1):
        if level.impossible(bounds.product_tail(total, n)):
            problems.append(f"neighbouring coordinates have a correlation of {total / n:.3f}")
    repeated = _repeated(noise)
    size = noise.scaled.size
    chance = min(1.0, 2 * size * (1 + SPARE) / (noise.sigma * math.sqrt(2 * math.pi)))
    if level.impossible(bounds.repeats_tail(repeated, size, chance)):
        problems.append(f"{repeated} of {size} values, up to their sign, were drawn before")
    return verdict(
        "mechanism.cross_row",
        problems,
        passed=f"no two of {rows} rows share noise: no correlation above {worst:.3f}, and "
        f"{repeated} of {size} values came twice",
        measured={
            "rows": rows,
            "draws": size,
            "largest_correlation": worst,
            "repeated": repeated,
            "level": level.each,
        },
    )


def _disjoint(table: F64, lag: int) -> list[tuple[float, int]]:
    """Return sums of products of rows `lag` apart, twice: in neither is a row used twice."""
    block = np.arange(len(table) - lag) // lag % 2
    found = []
    for parity in (0, 1):
        first = np.flatnonzero(block == parity)
        total = float(np.sum(table[first] * table[first + lag]))
        found.append((total, max(1, len(first) * table.shape[1])))
    return found


def _repeated(noise: Noise) -> int:
    values = [abs(z) for row in noise.drawn for z in row]
    return len(values) - len(set(values))
