"""From a behaviour to what enters its stream: one clipped integer step."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice.privacy import clipping


def step_of(
    vector: NDArray[np.floating[Any]], weight: float, *, alone: bool = True
) -> tuple[int, ...]:
    """Return the step of one behaviour.

    Args:
        vector: (d,), in the stream's space.
        weight: of its kind, -1 to 1.
        alone: whether it is a row's only step; one of several is a little shorter [P14].

    Raises:
        ConfigError: the weight is out of range.
        IntegrityError: the vector is not finite.
    """
    radius = clipping.RADIUS if alone else clipping.inner_radius(len(vector))
    return clipping.to_grid(vector, weight, radius=radius)


def step_of_day(steps: Iterable[tuple[int, ...]], dimension: int) -> tuple[int, ...]:
    """Return the one step of a day, or another interval: the sum of its steps, clipped.

    On an empty day it is all zeros.
    """
    total = [0] * dimension
    for step in steps:
        total = [sofar + x for sofar, x in zip(total, step, strict=True)]
    return clipping.clip(total)


def shares_of_day(steps: Sequence[tuple[int, ...]], dimension: int) -> list[tuple[int, ...]]:
    """Return how much of each step is in the step of their day: less where the sum was clipped."""
    if len(steps) == 1:  # clipped already
        return list(steps)
    whole = [sum(step[i] for step in steps) for i in range(dimension)]
    clipped = clipping.clip(whole)
    total, kept = sum(x * x for x in whole), sum(x * x for x in clipped)
    if kept == total:
        return list(steps)
    factor = math.sqrt(kept / total)
    return [tuple(round(factor * x) for x in step) for step in steps]
