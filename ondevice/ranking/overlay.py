"""What the owner said of single items moves the next list at once: near items, and only those.

The overlay is added to the score, item by item, so that explanations stay sums. It is a function
of the scores and of the verdicts in their order: taking one back gives what would have been
without it, to the last bit. It belongs to the owner view alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ondevice.domain import Verdict
from ondevice.formats.tensors import F32, I8
from ondevice.ranking.score import F64, products

Feedback: TypeAlias = Sequence[tuple[int, Verdict]]  # rows of the catalogue, oldest first

NEIGHBOURS = 50  # how many items one verdict can move
STRENGTH: Mapping[Verdict, float] = MappingProxyType(
    {
        Verdict.LIKE: 1.0,  # the nearest unseen neighbour goes to the very top
        Verdict.DWELL: 0.35,
        Verdict.OPEN: 0.15,
        Verdict.LESS: -1.0,  # the item and its nearest neighbour fall to the middle of the list
        Verdict.HIDE: 0.0,
    }
)
_PASS = 16  # verdicts whose cosines are computed together
_MARGIN = 0.01  # of the spread of the scores: how far above the top a like puts its neighbour


def adjustments(
    base: F64, codes: I8, inverse_norms: F32, feedback: Feedback, *, seen: AbstractSet[int]
) -> Iterator[F64]:
    """Yield what each verdict adds to the scores, (n,), one by one in their order.

    With `top` and `middle` the best and the median score of the items that can be listed at that
    moment, a like adds `k * (top + margin - score)` and a less-like-this takes off
    `k * (score - middle)`, never less than 0. k is 1 for the nearest listable neighbour, 0 from
    the 50th on, and in between the square of how far the cosine lies from the latter to the
    former: what counts as near is up to the item's own surroundings.

    Args:
        base: (n,), scores without any feedback.
        codes: (n, d).
        inverse_norms: (n,).
        feedback: rows and verdicts, oldest first.
        seen: rows that the list leaves out anyway. A hidden one among them counts as such from
            its own verdict on, so that hiding an item changes nothing else.
    """
    current = base.copy()
    listable = np.ones(len(base), dtype=bool)
    hidden = {row for row, verdict in feedback if verdict is Verdict.HIDE}
    listable[np.fromiter(seen - hidden, dtype=np.int64)] = False
    margin = 0.0
    if listable.any():
        known = base[listable]
        margin = _MARGIN * float(known.max() - np.median(known)) or _MARGIN
    for (row, verdict), cosine in zip(
        feedback, _cosines(feedback, codes, inverse_norms), strict=True
    ):
        if verdict in {Verdict.LIKE, Verdict.HIDE}:
            listable[row] = False
        delta = _adjustment(current, row, verdict, cosine, listable, margin)
        current += delta
        yield delta


def excluded(feedback: Feedback) -> frozenset[int]:
    """Return the rows that verdicts take off the list: hidden ones, and liked ones as known."""
    return frozenset(row for row, said in feedback if said in {Verdict.LIKE, Verdict.HIDE})


def _adjustment(
    current: F64,
    row: int,
    verdict: Verdict,
    cosine: F64,
    listable: NDArray[np.bool_],
    margin: float,
) -> F64:
    delta = np.zeros(len(current))
    strength = STRENGTH[verdict]
    others = listable.copy()
    others[row] = False
    rows = np.flatnonzero(others)
    if not strength or not rows.size or not cosine[row]:
        return delta
    near = _nearness(cosine, rows)
    scores = current[rows]
    if strength > 0:
        aim = float(scores.max()) + margin
        delta[rows] = strength * near[rows] * (aim - scores)
        return delta
    enough = len(rows) > 20  # else the median could still be among the best ten
    floor = float(np.median(scores) if enough else scores.min())
    near[row] = 1.0
    delta[:] = strength * near * np.maximum(0.0, current - floor)
    return delta


def _cosines(feedback: Feedback, codes: I8, inverse_norms: F32) -> Iterator[F64]:
    """Yield the cosines (n,) of each verdict's item with all others, some at one pass."""
    for at in range(0, len(feedback), _PASS):
        rows = [row for row, _ in feedback[at : at + _PASS]]
        units = codes[rows].astype(np.float64) * inverse_norms[rows].astype(np.float64)[:, None]
        yield from products(units, codes, inverse_norms)


def _nearness(cosine: F64, rows: NDArray[np.int64]) -> F64:
    """Return k of `adjustments` for every item; only `rows` decide what near means."""
    around = cosine[rows]
    nearest = float(around.max())
    last = min(NEIGHBOURS, len(rows))
    farthest = float(np.partition(around, len(rows) - last)[len(rows) - last])
    near = np.zeros(len(cosine))
    if nearest > farthest:
        near[rows] = np.clip((around - farthest) / (nearest - farthest), 0.0, 1.0) ** 2
    else:
        near[rows] = around >= nearest
    return near
