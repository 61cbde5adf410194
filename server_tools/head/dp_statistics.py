"""What many people have in common, released once with noise: how popular items are, and moments.

One user contributes one vector of length at most 1, so adding or removing a user moves the sum by
at most 1, and one Gaussian draw hides them. The vector has parts, each clipped on its own: the
items chosen (L2 norm 1, however many), the mean step, the moments of a step and of the mean, and
that there is a user at all. PRIVACY.md 6.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server_tools.head.statistics import F64, Typical

# Shares of the squared length: popularity helps the lists most, moments the prior.
SHARES = {"items": 0.7, "mean": 0.1, "second": 0.05, "between": 0.05, "present": 0.1}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Released:
    """Noisy statistics of the users of n items in d dimensions."""

    popularity: F64  # (n,), >= 0: in users who chose little; prolific ones count less
    typical: Typical
    users: float  # how many, at least 1


def contribution(items: F64, rows: Sequence[int]) -> F64:
    """Return the vector of one user who chose `rows` of `items` (n, d); its length is <= 1."""
    chosen = sorted(set(rows))
    held = np.zeros(len(items))
    held[chosen] = 1 / math.sqrt(max(1, len(chosen)))
    steps = items[chosen] / np.maximum(1.0, np.linalg.norm(items[chosen], axis=1, keepdims=True))
    mean = steps.mean(axis=0) if chosen else np.zeros(items.shape[1])
    second = steps.T @ steps / max(1, len(chosen))
    parts = {
        "items": held,
        "mean": mean,
        "second": second.ravel(),
        "between": np.outer(mean, mean).ravel(),
        "present": np.ones(1),
    }
    return np.concatenate([_clipped(parts[name], share) for name, share in SHARES.items()])


def release(
    items: F64,
    histories: Sequence[Sequence[int]],
    *,
    noise: float,
    generator: np.random.Generator,
) -> Released:
    """Return the statistics with noise of standard deviation `noise`, the sensitivity being 1.

    Args:
        items: (n, d), rows of length at most 1; public.
        histories: rows of items of each user.
        noise: multiplier; 0 releases them as they are.
        generator: of the noise; seeded from the system where it shall protect anybody.
    """
    n, d = items.shape
    total = np.zeros(n + d + 2 * d * d + 1)
    for rows in histories:
        total += contribution(items, rows)
    total += noise * generator.standard_normal(len(total))
    sizes = {"items": n, "mean": d, "second": d * d, "between": d * d, "present": 1}
    found, at = {}, 0
    for name, size in sizes.items():
        found[name] = total[at : at + size] / math.sqrt(SHARES[name])
        at += size
    users = max(1.0, float(found["present"][0]))
    mean = found["mean"] / users
    mean /= max(1.0, float(np.linalg.norm(mean)))
    second = _positive(found["second"].reshape(d, d) / users)
    between = _positive(found["between"].reshape(d, d) / users - np.outer(mean, mean))
    return Released(
        popularity=np.maximum(0.0, found["items"]),
        typical=Typical(
            mean=mean,
            between=between,
            within=_positive(second - between - np.outer(mean, mean)),
        ),
        users=users,
    )


def _clipped(part: F64, share: float) -> F64:
    """Scale `part` to a length of at most 1, and then to its share."""
    return part * (math.sqrt(share) / max(1.0, float(np.linalg.norm(part))))


def _positive(matrix: F64) -> F64:
    """Return the nearest matrix that is symmetric and has no negative eigenvalue."""
    values, directions = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((directions * np.maximum(values, 0.0)) @ directions.T)
