"""The private profile: a user vector that is a sum over what was released.

Where a space was trained its network decodes; elsewhere Wiener shrinkage does (PRIVACY.md 3): of
what a noisy sum says, keep as much as typical users make likely. A profile is post-processing of
released rows and of the public space, so it costs no privacy; and because it is linear in the
steps at the v that was released, explanations are sums.
"""

import math
from dataclasses import dataclass

import numpy as np

from ondevice.formats.space import Space
from ondevice.privacy.decoder import F64, Decoded
from ondevice.profile import network

WEIGHT_MEAN = 0.6  # of the kinds a person does; public, never fitted on a device's own data


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """`u = prior + gain @ v`: a user vector, never renormalised."""

    u: F64  # (d,)
    prior: F64  # (d,): the part that says nothing about this person
    gain: F64  # (d, d)
    v: F64  # (d,), decoded rows in space units: sum of beta^age * step, plus noise
    steps: int
    beta: float  # what a step loses per later step
    noise_std: float  # of each coordinate of v
    temperature: float  # units of the score in one unit of <u, x>


def profile(decoded: Decoded, space: Space, *, weight_mean: float = WEIGHT_MEAN) -> Profile:
    """Return the profile that `decoded` makes likely.

    With a network u is its answer to v, `prior` its answer to no news at all, and `gain` the mean
    of its slope on the way (`network.linearised`). Without one, `v^ = s m0 + P (P + n I)^-1
    (v - s m0)` and `u = v^ / s`, with s the expected sum of weights, `P = s^2 between + sum of
    squared decays * within`, n the variance of the noise; before the first step u is m0, and
    without noise u is v / s.

    Args:
        decoded: the released rows, decoded.
        space: whose network or statistics of typical users decode.
        weight_mean: mean weight of a behaviour, in (0, 1]; public.

    Raises:
        NotReadyError: the space comes with a decoder that this version doesn't know.
    """
    scale = weight_mean * decoded.weight_sum
    noise = math.sqrt(decoded.noise_variance)
    if space.decoder is not None:
        prior, gain = network.linearised(space, decoded.v, scale, noise)
    else:
        prior, gain = _shrunk(decoded, space, scale)
    return Profile(
        u=prior + gain @ decoded.v,
        prior=prior,
        gain=gain,
        v=decoded.v,
        steps=decoded.steps,
        beta=decoded.beta,
        noise_std=noise,
        temperature=space.temperature,
    )


def _shrunk(decoded: Decoded, space: Space, scale: float) -> tuple[F64, F64]:
    """Return prior and gain of Wiener shrinkage."""
    mean = space.mean.astype(np.float64)
    if decoded.steps == 0:
        return mean, np.zeros((len(mean), len(mean)))
    between, within = space.between.astype(np.float64), space.within.astype(np.float64)
    spread = scale**2 * between + decoded.weight_square_sum * within
    keep = _wiener(spread, decoded.noise_variance)
    return mean - keep @ mean, keep / scale


def _wiener(spread: F64, noise: float) -> F64:
    """Return P (P + noise I)^-1, the identity where there is no noise."""
    if noise == 0.0:
        return np.eye(len(spread))
    values, vectors = np.linalg.eigh((spread + spread.T) / 2)
    values = np.maximum(values, 0.0)  # float32 statistics may dip below by rounding
    return np.asarray((vectors * (values / (values + noise))) @ vectors.T)
