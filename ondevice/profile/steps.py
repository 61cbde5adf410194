"""From a behaviour to what enters its stream: one clipped integer step."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice.privacy import clipping


def step_of(vector: NDArray[np.floating[Any]], weight: float) -> tuple[int, ...]:
    """Return the step of one behaviour.

    Args:
        vector: (d,), in the stream's space.
        weight: of its kind, -1 to 1.

    Raises:
        ConfigError: the weight is out of range.
        IntegrityError: the vector is not finite.
    """
    return clipping.to_grid(vector, weight)


def step_of_day(steps: Iterable[tuple[int, ...]], dimension: int) -> tuple[int, ...]:
    """Return the one step of a day: the sum of its steps, clipped; zeros on an empty day."""
    total = [0] * dimension
    for step in steps:
        total = [sofar + x for sofar, x in zip(total, step, strict=True)]
    return clipping.clip(total)
