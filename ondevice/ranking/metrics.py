"""Quality of lists, by full ranking with binary gains. What `evaluate` reports (QUALITY.md 2)."""

import math
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def ndcg(ranked: Sequence[int], relevant: AbstractSet[int], k: int) -> float:
    """Return the discounted gain of the first `k` over that of the best possible list."""
    gain = sum(1 / math.log2(i + 2) for i, row in enumerate(ranked[:k]) if row in relevant)
    ideal = sum(1 / math.log2(i + 2) for i in range(min(k, len(relevant))))
    return gain / ideal if ideal else 0.0


def hit_rate(ranked: Sequence[int], relevant: AbstractSet[int], k: int) -> float:
    """Return 1 if any of the first `k` is relevant, else 0."""
    return float(any(row in relevant for row in ranked[:k]))


def recall(ranked: Sequence[int], relevant: AbstractSet[int], k: int) -> float:
    """Return the share of the relevant items that is among the first `k`."""
    found = sum(row in relevant for row in set(ranked[:k]))
    return found / len(relevant) if relevant else 0.0


def coverage(lists: Iterable[Sequence[int]], items: int) -> float:
    """Return the share of a catalogue of `items` that is in any of `lists`."""
    return len({row for ranked in lists for row in ranked}) / items if items else 0.0


def novelty(ranked: Sequence[int], popularity: Floats) -> float:
    """Return the mean surprise of a list, in bits.

    Args:
        ranked: rows.
        popularity: (n,), how many users did something with each item, >= 0. Every item counts
            as if one more had, so that an unknown one is surprising but not infinitely so.
    """
    if not len(ranked):
        return 0.0
    counts = np.asarray(popularity, dtype=np.float64) + 1.0
    chances = counts[np.asarray(ranked, dtype=np.int64)] / counts.sum()
    return float(-np.log2(chances).mean())


def diversity(vectors: Floats) -> float:
    """Return the mean of `1 - cosine` over the pairs of a list.

    Args:
        vectors: (k, d), unit rows, one for each item of the list; 0 for fewer than two.
    """
    k = len(vectors)
    if k < 2:
        return 0.0
    rows = np.asarray(vectors, dtype=np.float64)
    total = float(rows.sum(axis=0) @ rows.sum(axis=0)) - float((rows * rows).sum())
    return 1.0 - total / (k * (k - 1))
