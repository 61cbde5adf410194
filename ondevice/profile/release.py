"""The private profile: a user vector that is a linear function of what was released.

Wiener shrinkage (PRIVACY.md 3): of what a noisy sum says, keep as much as typical users make
likely. A profile is post-processing of released rows and of the public space, so it costs no
privacy; and because it is linear, explanations are sums.
"""

import math
from dataclasses import dataclass

import numpy as np

from ondevice.errors import NotReadyError
from ondevice.formats.space import Space
from ondevice.privacy.decoder import F64, Decoded

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

    `v^ = s m0 + P (P + n I)^-1 (v - s m0)` and `u = v^ / s`, with s the expected sum of weights,
    `P = s^2 between + sum of squared decays * within`, n the variance of the noise. Without a
    step u is m0; without noise u is v / s.

    Args:
        decoded: the released rows, decoded.
        space: whose statistics of typical users are the prior.
        weight_mean: mean weight of a behaviour, in (0, 1]; public.

    Raises:
        NotReadyError: the space comes with a decoder that this version doesn't know.
    """
    if space.decoder is not None:
        raise NotReadyError(
            f"the space '{space.name}' decodes in a way that is not known here",
            hint="upgrade ondevice-rec",
        )
    mean = space.mean.astype(np.float64)
    scale = weight_mean * decoded.weight_sum
    if decoded.steps == 0:
        gain, prior = np.zeros((len(mean), len(mean))), mean
    else:
        between, within = space.between.astype(np.float64), space.within.astype(np.float64)
        spread = scale**2 * between + decoded.weight_square_sum * within
        keep = _wiener(spread, decoded.noise_variance)
        gain, prior = keep / scale, mean - keep @ mean
    return Profile(
        u=prior + gain @ decoded.v,
        prior=prior,
        gain=gain,
        v=decoded.v,
        steps=decoded.steps,
        beta=decoded.beta,
        noise_std=math.sqrt(decoded.noise_variance),
        temperature=space.temperature,
    )


def _wiener(spread: F64, noise: float) -> F64:
    """Return P (P + noise I)^-1, the identity where there is no noise."""
    if noise == 0.0:
        return np.eye(len(spread))
    values, vectors = np.linalg.eigh((spread + spread.T) / 2)
    values = np.maximum(values, 0.0)  # float32 statistics may dip below by rounding
    return np.asarray((vectors * (values / (values + noise))) @ vectors.T)
