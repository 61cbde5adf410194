"""Onto the integer grid and into the ball. Integers alone decide privacy here.

[P1]-[P3] and [P14] are discharged in PROOF.md, next to this file. Python integers can't overflow.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import ConfigError, IntegrityError

GRID = 1 << 14  # grid units in 1.0 of the space
RADIUS = 1 << 14  # S: L2 radius of the ball, in grid units


def inner_radius(dimension: int) -> int:
    """Return the radius for steps that are summed with others before the sum is clipped [P14].

    Clipping moves two sums no further apart than they were, but for rounding: it may add
    1 + sqrt(d) on each side. Steps that are shorter by both keep the difference within `RADIUS`.
    """
    return RADIUS - 2 * (2 + math.isqrt(max(0, dimension - 1)))


def to_grid(
    vector: NDArray[np.floating[Any]], weight: float = 1.0, *, radius: int = RADIUS
) -> tuple[int, ...]:
    """Return `weight * vector` as a clipped step, in grid units.

    Args:
        vector: shape (d,), in space units.
        weight: of the behaviour's kind, in [-1, 1].
        radius: of the ball, in grid units.

    Returns:
        d integers, truncated toward zero [P1], of L2 norm at most `radius` [P2].

    Raises:
        ConfigError: `weight` is out of range.
        IntegrityError: `vector` holds something that is not a finite number.
    """
    if not -1.0 <= weight <= 1.0:
        raise ConfigError(f"a weight must lie between -1 and 1, not {weight}")
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.asarray(vector, dtype=np.float64) * (weight * GRID)
    if not np.isfinite(scaled).all():
        raise IntegrityError("a behaviour's vector is not finite", hint="the encoder is damaged")
    return clip([math.trunc(value) for value in scaled.tolist()], radius)


def clip(values: Sequence[int], radius: int = RADIUS) -> tuple[int, ...]:
    """Return `values`, scaled into the ball of `radius` when outside it [P2].

    With N the sum of squares, a vector with N > S^2 becomes `trunc(x_i S / ceil(sqrt N))`;
    others are returned as they are [P3].
    """
    total = sum(x * x for x in values)
    if total <= radius * radius:
        return tuple(values)
    norm = math.isqrt(total - 1) + 1  # ceil(sqrt(total))
    clipped = tuple((abs(x) * radius // norm) * (1 if x > 0 else -1) for x in values)
    require_clipped(clipped, radius)
    return clipped


def require_clipped(values: Sequence[int], radius: int = RADIUS) -> None:
    """Refuse a step whose norm exceeds the radius, whoever made it.

    Raises:
        IntegrityError: the sum of squares exceeds S^2.
    """
    if sum(x * x for x in values) > radius * radius:
        raise IntegrityError(
            "a step lies outside the clipping radius, so nothing was released",
            hint="the store is damaged: run `ondevice-rec doctor`",
        )
