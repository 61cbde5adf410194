"""One continual release: public parameters, and the row that is let out at each step.

Row t publishes y_t = sum_{k<K} c^_k x_(t-k) + z_t in exact integers, with z_t independent
discrete Gaussians. [P5]-[P7], [P9] and [P10] are discharged in PROOF.md, next to this file.
Sources: Bun & Steinke 2016, arXiv:1605.02065 (zCDP composes adaptively); Henzinger, Upadhyay
& Upadhyay 2023, arXiv:2211.05006 (the square root of a Toeplitz sum); Kalinin & Lampert 2024,
arXiv:2405.13763 (its band).
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from ondevice.errors import ConfigError, IntegrityError
from ondevice.privacy import discrete_gaussian
from ondevice.privacy.accountant import SLACK, rho_of
from ondevice.privacy.clipping import GRID, RADIUS, require_clipped
from ondevice.privacy.randomness import Randomness

GRAIN = 14  # c^_0 = 2^GRAIN: binary digits kept of the coefficients
HALF_LIFE_MAX = 256  # beyond, neighbouring rounded coefficients could be equal
DIMENSION_MAX = 4096

_PRECISE = Context(prec=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamParameters:
    """Everything public about one stream. Refuses to exist if its claim would not hold.

    `rho` bounds the cost of the whole, unbounded stream to each unit that enters it once.
    """

    dimension: int
    half_life: int  # steps until a behaviour counts half
    band: int  # K: how many steps one row mixes
    epsilon: float  # what was asked for; rho <= rho_of(epsilon, delta)
    delta: float
    rho: float  # zCDP, rounded up
    sigma2: int  # variance of each coordinate of z_t, in grid units scaled by 2^(2 GRAIN)
    coefficients: tuple[int, ...]  # c^_0..c^_(K-1)
    clip: int = RADIUS
    grid: int = GRID

    def __post_init__(self) -> None:
        c = self.coefficients
        if not (1 <= self.dimension <= DIMENSION_MAX and len(c) == self.band >= 1):
            raise ConfigError(f"a stream can't have {self.dimension=} and {self.band=}")
        if c[-1] < 1 or any(later >= earlier for earlier, later in pairwise(c)):
            raise ConfigError("the coefficients must fall strictly and stay positive")  # [P7]
        if (self.clip, self.grid) != (RADIUS, GRID) or self.sigma2 < 1:
            raise ConfigError(f"a stream can't have {self.clip=}, {self.grid=}, {self.sigma2=}")
        # A tenth of the accountant's slack lets another machine's last digit pass.
        affordable = rho_of(self.epsilon, self.delta) * (1 + SLACK / 10)
        if not exact_rho(c, self.sigma2) <= Fraction(self.rho) <= affordable:
            raise ConfigError("the noise of this stream is too small for its epsilon")  # [P6]

    @classmethod
    def for_budget(
        cls,
        epsilon: float,
        delta: float,
        dimension: int,
        *,
        half_life: int = 64,
        band: int | None = None,
    ) -> "StreamParameters":
        """Return the stream with the least noise that keeps (`epsilon`, `delta`) for life.

        Args:
            epsilon: lifetime cap, finite and > 0.
            delta: in (0, 1).
            dimension: of the space.
            half_life: in steps, 1 to 256.
            band: K, 1 to 2 half-lives; None for one half-life.

        Raises:
            ConfigError: something is out of range.
        """
        if not 1 <= half_life <= HALF_LIFE_MAX:
            raise ConfigError(f"the half-life must be 1 to {HALF_LIFE_MAX} steps, not {half_life}")
        band = half_life if band is None else band
        if not 1 <= band <= HALF_LIFE_MAX:
            raise ConfigError(f"the band must be 1 to {HALF_LIFE_MAX} steps, not {band}")
        coefficients = root_coefficients(half_life, band)
        energy = RADIUS * RADIUS * sum(c * c for c in coefficients)
        sigma2 = max(1, math.ceil(energy / (2 * Fraction(rho_of(epsilon, delta)))))
        return cls(
            dimension=dimension,
            half_life=half_life,
            band=band,
            epsilon=epsilon,
            delta=delta,
            rho=_float_above(exact_rho(coefficients, sigma2)),
            sigma2=sigma2,
            coefficients=coefficients,
        )

    @property
    def digest(self) -> str:
        """SHA-256 in hex over every field: two streams with one digest are one mechanism."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()


@lru_cache(maxsize=16)
def root_coefficients(half_life: int, band: int) -> tuple[int, ...]:
    """Return c^_k = round(2^GRAIN beta^k binom(2k,k)/4^k) for k < `band` [P5].

    Sixty decimal digits before rounding: the same integers on every machine.
    """
    beta = _PRECISE.power(Decimal(2), _PRECISE.divide(Decimal(-1), Decimal(half_life)))
    value = Decimal(1 << GRAIN)
    values = [value]
    for k in range(1, band):
        ratio = _PRECISE.divide(_PRECISE.multiply(beta, Decimal(2 * k - 1)), Decimal(2 * k))
        value = _PRECISE.multiply(value, ratio)
        values.append(value)
    return tuple(int(v.to_integral_value()) for v in values)


def exact_rho(coefficients: Sequence[int], sigma2: int) -> Fraction:
    """Return S^2 sum c^_k^2 / (2 sigma2): the zCDP cost of a whole stream [P6]."""
    return Fraction(RADIUS * RADIUS * sum(c * c for c in coefficients), 2 * sigma2)


def row(
    parameters: StreamParameters, band_inputs: Sequence[Sequence[int]], randomness: Randomness
) -> tuple[int, ...]:
    """Return y_t, freshly drawn. To call it is to be able to release: charge the ledger first.

    Args:
        parameters: of this stream.
        band_inputs: the steps x_t, x_(t-1), ..., newest first, as many as exist but at most
            `band`; each d integers in grid units, clipped. A forgotten step is all zeros.
        randomness: where noise comes from; fresh for every row [P10].

    Returns:
        d integers, in grid units scaled by 2^GRAIN [P9].

    Raises:
        IntegrityError: a step has another dimension or lies outside the ball; or there are
            more of them than the band, or none.
    """
    if not 1 <= len(band_inputs) <= parameters.band:
        raise IntegrityError(f"a row mixes 1 to {parameters.band} steps, not {len(band_inputs)}")
    total = [0] * parameters.dimension
    for coefficient, step in zip(parameters.coefficients, band_inputs, strict=False):
        values = [int(x) for x in step]
        if len(values) != parameters.dimension:
            raise IntegrityError(
                f"a step has {len(values)} coordinates, its stream {parameters.dimension}"
            )
        if not any(values):  # forgotten, or an empty interval: nothing to add
            continue
        require_clipped(values)
        total = [sofar + coefficient * x for sofar, x in zip(total, values, strict=True)]
    noise = discrete_gaussian.sample(parameters.sigma2, parameters.dimension, randomness)
    return tuple(signal + z for signal, z in zip(total, noise, strict=True))


def _float_above(value: Fraction) -> float:
    """Return the least float that is not below `value`."""
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)
