"""Exact samples of the discrete Gaussian: integers only, no float anywhere.

P(z) is proportional to exp(-z^2 / (2 variance)) over all integers z. [P4] is discharged in
PROOF.md, next to this file. Source: Canonne, Kamath & Steinke 2020, arXiv:2004.00010,
Algorithms 1-3.

Not covered: how long a draw takes depends on the value drawn. Whoever can time single rows
from inside this process is out of scope (PRIVACY.md 1).
"""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

from ondevice.errors import ConfigError
from ondevice.privacy.randomness import Randomness

_WORD = 64  # bits
_REFILL = 2048  # bytes asked of the source at a time; what is left over is thrown away

Word = Callable[[], int]


def sample(variance: int | Fraction, count: int, randomness: Randomness) -> list[int]:
    """Return `count` independent draws of the discrete Gaussian of `variance`.

    Args:
        variance: the parameter sigma^2 > 0, in squared units of the draws; of any size.
        count: how many draws, >= 0.
        randomness: where uniform bits come from.

    Raises:
        ConfigError: `variance` is not positive.
    """
    if variance <= 0:
        raise ConfigError(f"the variance of the noise must be positive, not {variance}")
    numerator, denominator = variance.numerator, variance.denominator
    scale = math.isqrt(numerator // denominator) + 1  # floor(sigma) + 1
    centre, step = numerator, denominator * scale
    divisor = 2 * numerator * denominator * scale * scale
    word = _words(randomness).__next__
    draws: list[int] = []
    while len(draws) < count:
        z = _laplace(scale, word)
        if _bernoulli_exp((abs(z) * step - centre) ** 2, divisor, word):
            draws.append(z)
    return draws


def _words(randomness: Randomness) -> Iterator[int]:
    """Yield uniform 64-bit words. The buffer lives for one call of `sample` only."""
    while True:
        yield from memoryview(randomness.bytes(_REFILL)).cast("Q")


def _below(bound: int, word: Word) -> int:
    """Return an integer uniform in [0, bound), by rejection."""
    bits = bound.bit_length()
    while True:
        value, have = word(), _WORD
        while have < bits:
            value, have = value << _WORD | word(), have + _WORD
        value >>= have - bits
        if value < bound:
            return value


def _bernoulli(p: int, q: int, word: Word) -> bool:
    """Return True with probability p/q, 0 <= p <= q.

    Compares a uniform real with p/q, 64 binary digits at a time, until they differ.
    """
    while True:
        p <<= _WORD
        drawn = word() * q
        if drawn + q <= p:
            return True
        if drawn >= p:
            return False
        p -= drawn


def _bernoulli_exp(p: int, q: int, word: Word) -> bool:
    """Return True with probability exp(-p/q), p >= 0 (Algorithm 1)."""
    while p > q:
        if not _bernoulli_exp(1, 1, word):
            return False
        p -= q
    k = 1
    while _bernoulli(p, q * k, word):
        k += 1
    return k % 2 == 1


def _laplace(scale: int, word: Word) -> int:
    """Return a discrete Laplace draw: P(z) proportional to exp(-|z|/scale) (Algorithm 2)."""
    while True:
        magnitude = _below(scale, word)
        if not _bernoulli_exp(magnitude, scale, word):
            continue
        while _bernoulli_exp(1, 1, word):
            magnitude += scale
        negative = word() & 1
        if not negative:
            return magnitude
        if magnitude:
            return -magnitude
