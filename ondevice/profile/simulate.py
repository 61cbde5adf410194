"""Thousands of streams at once, for evaluation: the law of the device's path, vectorised.

Nothing here protects anybody: the generator is seeded and the noise may be a rounded Gaussian.
The rows are the same integers as `privacy.stream.row` would add up from the same noise, and v is
the same number to 12 digits as the device's decoder gives (tests).
"""

import math

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import ConfigError
from ondevice.privacy.decoder import F64, Decoded, beta_of, noise_series, noise_variance
from ondevice.privacy.stream import StreamParameters

I64 = NDArray[np.int64]

ROUNDED_FROM = 1000  # standard deviation in grid units from which a rounded Gaussian is drawn


def noise(variance: int, shape: tuple[int, ...], generator: np.random.Generator) -> I64:
    """Return independent draws of (as good as) the discrete Gaussian of `variance`.

    Below a standard deviation of 1000 they follow its exact probabilities, from a table. From
    there on they are rounded Gaussians: by the midpoint rule the two probabilities of z differ by
    a factor 1 + (z^2/variance - 1)/(24 variance) to first order, so the distance in total
    variation is at most 1/(40 variance): 2.5e-8 at 1000, 1e-19 at the 2^29 of real streams.

    Raises:
        ConfigError: `variance` is not positive, or so large that draws could overflow.
    """
    if not 0 < variance < 1 << 112:
        raise ConfigError(f"can't simulate noise of variance {variance}")
    sigma = math.sqrt(variance)
    if sigma >= ROUNDED_FROM:
        return np.rint(sigma * generator.standard_normal(shape)).astype(np.int64)
    reach = math.ceil(12 * sigma) + 1
    support = np.arange(-reach, reach + 1)
    weights = np.exp(-(support.astype(np.float64) ** 2) / (2 * variance))
    cumulated = np.cumsum(weights / weights.sum())
    cumulated[-1] = 1.0
    places = np.searchsorted(cumulated, generator.random(shape), side="right")
    return support[places].astype(np.int64)


def released(parameters: StreamParameters, steps: I64, z: I64) -> I64:
    """Return all rows of many streams.

    Args:
        parameters: of every stream.
        steps: (..., T, d), grid units, clipped; oldest first.
        z: the same shape, one draw for each coordinate of each row.
    """
    y = z.copy()
    for k, coefficient in enumerate(parameters.coefficients[: steps.shape[-2]]):
        y[..., k:, :] += coefficient * steps[..., : steps.shape[-2] - k, :]
    return y


def values(parameters: StreamParameters, steps: I64, z: I64 | None = None) -> F64:
    """Return v after the last row of many streams, in space units, (..., d).

    Decoding inverts the stream, so `v = sum beta^k x_(T-1-k) + sum b_k z_(T-1-k)`. A stream that
    is shorter than T starts with zero steps and zero noise.

    Args:
        parameters: of every stream.
        steps: (..., T, d), grid units, clipped; oldest first.
        z: the same shape; None for no noise at all.
    """
    ages = np.arange(steps.shape[-2])[::-1]
    total = np.einsum("t,...td->...d", beta_of(parameters) ** ages, steps.astype(np.float64))
    if z is not None:
        series = noise_series(parameters.coefficients, parameters.half_life)
        spread = np.where(ages < len(series), series[np.minimum(ages, len(series) - 1)], 0.0)
        total += np.einsum("t,...td->...d", spread, z.astype(np.float64))
    return np.asarray(total / parameters.grid)


def decoded(parameters: StreamParameters, v: F64, steps: int, *, noisy: bool = True) -> Decoded:
    """Return what the device's decoder would return for one `v` (d,) after `steps` rows."""
    beta = beta_of(parameters)
    return Decoded(
        v=v,
        steps=steps,
        beta=beta,
        noise_variance=noise_variance(parameters, steps) if noisy else 0.0,
        weight_sum=(1 - beta**steps) / (1 - beta),
        weight_square_sum=(1 - beta ** (2 * steps)) / (1 - beta * beta),
    )
