"""A list that does not say one thing ten times: twins, likeness, spacing, and room to discover.

Every function takes an order and gives an order. None looks at who asks.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from ondevice.ranking.score import F64

TWIN = 0.8  # cosine from which two items with the same title are one
SAME = 0.9995  # cosine from which two items are one whatever their titles
LOOKAHEAD = 10  # places that spacing may bring an item forward
USUAL = 0.8  # share of the list's head that the usual categories hold


def twins(titles: Sequence[str], units: F64, *, first: AbstractSet[int] = frozenset()) -> list[int]:
    """Return for every place the place of the one it nearly equals, or -1.

    Args:
        titles: m folded titles, best item first.
        units: (m, d), unit rows.
        first: places that win against better ones (shown before, so they stay).
    """
    answer = [-1] * len(titles)
    alike = units @ units.T
    kept: list[int] = []
    for place in sorted(range(len(titles)), key=lambda p: (p not in first, p)):
        for other in kept:
            same = titles[place] == titles[other]
            if alike[place, other] >= (TWIN if same else SAME):
                answer[place] = other
                break
        else:
            kept.append(place)
    return answer


def mmr(
    scores: F64, units: F64, *, weight: float, count: int, before: F64 | None = None
) -> list[int]:
    """Reorder by maximal marginal relevance (Carbonell and Goldstein 1998); all places come back.

    The next item is the one with the largest `(1 - weight) * s - weight * c`: s is its score in
    standard deviations of `scores`, and c its largest cosine with anything above it, 0 at least.

    Args:
        scores: (m,), best first.
        units: (m, d), unit rows.
        weight: 0 (by score alone) to 1.
        count: places to choose; the others follow by score.
        before: (k, d), unit rows of what stands above already.
    """
    m = len(scores)
    deviation = float(scores.std()) if m else 0.0
    if weight <= 0.0 or m < 2 or deviation == 0.0:
        return list(range(m))
    value = (1.0 - weight) * (scores - scores[0]) / deviation
    alike = units @ units.T
    nearest = np.zeros(m)
    if before is not None and len(before):
        nearest = np.maximum(nearest, (units @ before.T).max(axis=1))
    left = np.ones(m, dtype=bool)
    order: list[int] = []
    for _ in range(min(count, m)):
        gain = np.where(left, value - weight * nearest, -np.inf)
        best = int(gain.argmax())
        order.append(best)
        left[best] = False
        np.maximum(nearest, alike[best], out=nearest)
    return order + np.flatnonzero(left).tolist()


def determinantal(scores: F64, units: F64, *, weight: float, count: int) -> list[int]:
    """Reorder by the greedy maximum of a determinantal process (Chen, Zhang and Zhou 2018).

    The kernel is `q_i q_j <u_i, u_j>` with `q = exp((1 - weight) / (2 weight) * s)`, s as in `mmr`.
    Kept for comparison: `mmr` costs less accuracy for the same diversity (ADR 0011).

    Args:
        scores: (m,), best first.
        units: (m, d), unit rows.
        weight: 0 (by score alone) to 1.
        count: places to choose; the others follow by score.
    """
    m = len(scores)
    deviation = float(scores.std()) if m else 0.0
    if weight <= 0.0 or m < 2 or deviation == 0.0:
        return list(range(m))
    strength = (1.0 - weight) / (2.0 * weight)
    quality = np.exp(np.clip(strength * (scores - scores[0]) / deviation, -50.0, 0.0))
    kernel = quality[:, None] * (units @ units.T) * quality[None, :]
    kernel[np.diag_indices(m)] += 1e-9
    gain = np.diag(kernel).copy()
    factors = np.zeros((min(count, m), m))
    left = np.ones(m, dtype=bool)
    order: list[int] = []
    for turn in range(min(count, m)):
        best = int(np.where(left, gain, -np.inf).argmax())
        if gain[best] <= 1e-12:
            break
        order.append(best)
        left[best] = False
        row = (kernel[best] - factors[:turn].T @ factors[:turn, best]) / math.sqrt(gain[best])
        factors[turn] = row
        gain = gain - row * row
    return order + np.flatnonzero(left).tolist()


def spaced(
    order: Sequence[int], key: Callable[[int], Hashable | None], *, start: int = 0, run: int = 1
) -> list[int]:
    """Let at most `run` of one kind follow one another, where others are near enough.

    Args:
        order: rows; the first `start` of them stay where they are.
        key: row → its kind; None for none.
        start: where to begin.
        run: how many in a row are fine.
    """
    out = list(order[:start])
    waiting = list(order[start:])
    while waiting:
        last = [key(row) for row in out[-run:]]
        full = len(last) == run and last[0] is not None and last.count(last[0]) == run
        place = 0
        if full:
            others = (i for i, row in enumerate(waiting[:LOOKAHEAD]) if key(row) != last[0])
            place = next(others, 0)
        out.append(waiting.pop(place))
    return out


def discovered(
    order: Sequence[int], category: Callable[[int], str], *, share: float, start: int = 0
) -> tuple[list[int], set[int]]:
    """Give a share of the places to categories that the list hardly has.

    After p places, floor(share * p) are such places, so the share holds on every page. The usual
    categories are the most frequent ones that together make up most of the first 20 places.

    Args:
        order: rows, best first.
        category: row → its category, "" for none.
        share: 0 to 1.
        start: places before, which stay.

    Returns:
        The order, and the rows that were brought forward.
    """
    kept, waiting = list(order[:start]), list(order[start:])
    head = Counter(category(row) for row in waiting[:20])
    usual, held = set(), 0
    for name, count in head.most_common():
        if held >= USUAL * head.total():
            break
        usual.add(name)
        held += count
    others = [row for row in waiting if category(row) and category(row) not in usual]
    if share <= 0.0 or not others:
        return list(order), set()
    brought: set[int] = set()
    taken = set(kept)
    rest, turn = iter(waiting), iter(others)
    while len(kept) < len(order):
        place = len(kept) + 1
        row = None
        if math.floor(share * place) > math.floor(share * (place - 1)):
            row = next((one for one in turn if one not in taken), None)
        if row is None:
            row = next(one for one in rest if one not in taken)
        else:
            brought.add(row)
        kept.append(row)
        taken.add(row)
    return kept, brought


def steady(fresh: Sequence[int], last: Sequence[int], moved: AbstractSet[int]) -> list[int]:
    """Return `fresh` with every row that did not move in the order of `last`.

    Moved rows stand where `fresh` has them. Rows that are neither in `last` nor moved come after
    those that are: noise alone brings nobody onto the list.

    Args:
        fresh: the order by today's scores.
        last: the order shown last; what is no longer in `fresh` is ignored.
        moved: rows whose score changed by more than the noise explains.
    """
    if not last:
        return list(fresh)
    here, before = set(fresh), set(last)
    kept = iter([row for row in last if row in here and row not in moved])
    early = [row for row in fresh if row in before or row in moved]
    late = [row for row in fresh if row not in before and row not in moved]
    return [row if row in moved or row not in before else next(kept) for row in early] + late
