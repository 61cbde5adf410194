"""Onto the integer grid and into the ball. Integers alone decide privacy here.

[P1]-[P3] are discharged in PROOF.md, next to this file. Python integers can't overflow.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import ConfigError, IntegrityError

GRID = 1 << 14  # grid units in 1.0 of the space
RADIUS = 1 << 14  # S: L2 radius of the ball, in grid units


def to_grid(vector: NDArray[np.floating[Any]], weight: float = 1.0) -> tuple[int, ...]:
    """Return `weight * vector` as a clipped step, in grid units.

    Args:
        vector: shape (d,), in space units.
        weight: of the behaviour's kind, in [-1, 1].

    Returns:
        d integers, truncated toward zero [P1], of L2 norm at most `RADIUS` [P2].

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
    return clip([math.trunc(value) for value in scaled.tolist()])


def clip(values: Sequence[int]) -> tuple[int, ...]:
    """Return `values`, scaled into the ball of `RADIUS` when outside it [P2].

    With N the sum of squares, a vector with N > S^2 becomes `trunc(x_i S / ceil(sqrt N))`;
    others are returned as they are [P3].
    """
    total = sum(x * x for x in values)
    if total <= RADIUS * RADIUS:
        return tuple(values)
    norm = math.isqrt(total - 1) + 1  # ceil(sqrt(total))
    clipped = tuple((abs(x) * RADIUS // norm) * (1 if x > 0 else -1) for x in values)
    require_clipped(clipped)
    return clipped


def require_clipped(values: Sequence[int]) -> None:
    """Refuse a step whose norm exceeds the radius, whoever made it.

    Raises:
        IntegrityError: the sum of squares exceeds S^2.
    """
    if sum(x * x for x in values) > RADIUS * RADIUS:
        raise IntegrityError(
            "a step lies outside the clipping radius, so nothing was released",
            hint="the store is damaged: run `ondevice-rec doctor`",
        )
