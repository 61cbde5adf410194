"""The sampler by itself: types, low bits, and its fit at small sigma, where floats show.

A rounded floating-point Gaussian looks right at the sigma of a stream. It does not at sigma 1/2
and 1, where rounding moves whole per cents of probability, nor at sigma 2^70, where a float has
no low bits left.
"""

import math
from collections import Counter
from fractions import Fraction

import numpy as np

from ondevice.audit.mechanism import bounds
from ondevice.audit.mechanism.findings import Finding, verdict
from ondevice.audit.mechanism.level import Level
from ondevice.audit.mechanism.subject import Mechanism
from ondevice.privacy.randomness import Randomness

SIGMAS = (Fraction(1, 2), Fraction(1), Fraction(3))
HUGE = 1 << 140  # a variance: sigma = 2^70, beyond the 53 bits of a float64
BITS = 16  # low bits that are looked at


def check_types(subject: Mechanism, randomness: Randomness) -> Finding:
    """Everything that is clipped, drawn or released is a Python integer, of unbounded size."""
    p = subject.parameters(4.0, 1e-6, 3, half_life=4)
    problems = []
    values = {
        "a step": subject.step(np.array([0.25, -0.5, 3.0]), 1.0),
        "the step of a day": subject.day([(5, -7, 0), (8192, 0, 1)], 3),
        "a draw": subject.sample(9, 32, randomness),
        "a large draw": subject.sample(HUGE, 32, randomness),
        "a released row": subject.row(p, [(1, -2, 3)], randomness),
    }
    for what, given in values.items():
        kinds = {type(value).__name__ for value in given}
        if kinds != {"int"}:
            problems.append(f"{what} holds {', '.join(sorted(kinds))}, not Python integers")
    return verdict(
        "mechanism.types",
        problems,
        passed="steps, draws and released rows are Python integers: they can't overflow or round",
    )


def check_low_bits(subject: Mechanism, randomness: Randomness, *, draws: int) -> Finding:
    """Low bits are fair coins, at sigma 2^70 and at the sigma of a stream."""
    p = subject.parameters(4.0, 1e-6, draws, half_life=1)
    sets = {
        "sigma 2^70": [_whole(z) for z in subject.sample(HUGE, draws, randomness)],
        "a stream's sigma": [_whole(z) for z in subject.row(p, [(0,) * draws], randomness)],
    }
    level = Level("mechanism.low_bits", planned=BITS * len(sets))
    problems, worst = [], 0.0
    for what, values in sets.items():
        for bit in range(BITS):
            ones = sum(z >> bit & 1 for z in values)
            worst = max(worst, abs(ones / draws - 0.5))
            if level.impossible(bounds.binomial_tail(ones, draws, 0.5)):
                problems.append(f"at {what}, bit {bit} is set in {ones} of {draws} draws")
    return verdict(
        "mechanism.low_bits",
        problems,
        passed=f"the {BITS} low bits are fair in {draws} draws each at sigma 2^70 and a stream's",
        measured={"draws": draws, "worst_share_off_half": worst, "level": level.each},
    )


def check_sampler(subject: Mechanism, randomness: Randomness, *, draws: int) -> Finding:
    """Every value comes as often as exact probabilities say, at sigma 1/2, 1 and 3."""
    tables = {sigma: probabilities(sigma) for sigma in SIGMAS}
    level = Level("mechanism.sampler", planned=sum(len(table) for table in tables.values()))
    problems, worst = [], 1.0
    for sigma, table in tables.items():
        reach = max(table)
        seen: Counter[int] = Counter()
        stray = 0
        for z in subject.sample(sigma * sigma, draws, randomness):
            stray += z != int(z)
            seen[max(-reach, min(reach, int(z)))] += 1
        if stray:
            problems.append(f"at sigma {float(sigma):g}, {stray} of {draws} draws are no integers")
        for z, p in table.items():
            bound = bounds.binomial_tail(seen[z], draws, p)
            worst = min(worst, bound)
            if level.impossible(bound):
                tail = " and beyond" if abs(z) == reach else ""
                problems.append(
                    f"at sigma {float(sigma):g}, the value {z}{tail} came {seen[z]} times in "
                    f"{draws} draws where {draws * p:.0f} are due"
                )
    return verdict(
        "mechanism.sampler",
        problems,
        passed=f"{draws} draws each at sigma 0.5, 1 and 3 follow the exact probabilities",
        measured={"draws": draws, "smallest_tail_bound": worst, "level": level.each},
    )


def probabilities(sigma: Fraction) -> dict[int, float]:
    """Return P(z), |z| <= 3 sigma + 1; the outermost cells hold everything beyond too."""
    variance = float(sigma * sigma)
    reach = math.ceil(3 * sigma) + 1
    weights = {z: math.exp(-z * z / (2 * variance)) for z in range(-20 * reach, 20 * reach + 1)}
    total = math.fsum(weights.values())
    cells = {z: weights[z] / total for z in range(-reach, reach + 1)}
    cells[reach] = cells[-reach] = math.fsum(w for z, w in weights.items() if z >= reach) / total
    return cells


def _whole(value: float) -> int:
    """Return `value`; what is no integer is cut, and named by `check_types`."""
    return int(value)
