"""What quality a person may expect: read between the rows of a space's measured table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ondevice.formats.space import QualityRow

WITHOUT_NOISE = 100.0  # an epsilon from which a row of the table counts as one without noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """NDCG@10 on the publisher's test users, between the rows that were measured."""

    ndcg: float  # 0 to 1
    without_noise: float | None  # for as many behaviours; None: not measured
    inside: bool  # whether the question lies between measured rows; else the nearest one answers


def expected(table: Sequence[QualityRow], *, epsilon: float, behaviours: int) -> Expected | None:
    """Return what `table` says; None when nothing was measured.

    Straight lines between neighbours, in log(epsilon) and in log(1 + behaviours); beyond the
    table its edge.
    """
    rows = [row for row in table if row.epsilon < WITHOUT_NOISE]
    if not rows:
        return None
    quiet = [row for row in table if row.epsilon >= WITHOUT_NOISE]
    counts = [row.behaviours for row in rows]
    epsilons = [row.epsilon for row in rows]
    return Expected(
        ndcg=_between(
            behaviours,
            {count: _at(rows, count, epsilon) for count in set(counts)},
        ),
        without_noise=_between(behaviours, {row.behaviours: row.ndcg for row in quiet})
        if quiet
        else None,
        inside=min(counts) <= behaviours <= max(counts)
        and min(epsilons) <= epsilon <= max(epsilons),
    )


def _at(rows: Sequence[QualityRow], count: int, epsilon: float) -> float:
    points = {math.log(row.epsilon): row.ndcg for row in rows if row.behaviours == count}
    return _line(math.log(epsilon), points)


def _between(behaviours: int, points: dict[int, float]) -> float:
    return _line(math.log1p(behaviours), {math.log1p(n): ndcg for n, ndcg in points.items()})


def _line(at: float, points: dict[float, float]) -> float:
    known = sorted(points)
    if at <= known[0]:
        return points[known[0]]
    for low, high in pairwise(known):
        if at <= high:
            share = (at - low) / (high - low)
            return points[low] * (1 - share) + points[high] * share
    return points[known[-1]]
