"""What typical users are like in a space: the prior of Wiener shrinkage, and of the audit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Typical:
    """See `Space`; d dimensions."""

    mean: F64  # (d,)
    between: F64  # (d, d)
    within: F64  # (d, d)


def of(items: F64, histories: Sequence[Sequence[int]]) -> Typical:
    """Return the statistics of users who chose rows of `items` (n, d), two or more each.

    The covariance between users is that of their mean steps less what chance adds to a mean.
    """
    d = items.shape[1]
    means, within, chance = np.empty((len(histories), d)), np.zeros((d, d)), 0.0
    for user, rows in enumerate(histories):
        steps = items[list(rows)]
        means[user] = steps.mean(axis=0)
        around = steps - means[user]
        within += around.T @ around / (len(rows) - 1)
        chance += 1 / len(rows)
    within /= len(histories)
    spread = (means - means.mean(axis=0)).T @ (means - means.mean(axis=0)) / (len(histories) - 1)
    values, directions = np.linalg.eigh(spread - within * (chance / len(histories)))
    return Typical(
        mean=means.mean(axis=0),
        between=(directions * np.maximum(values, 0.0)) @ directions.T,
        within=within,
    )
