"""Rating, recency, popularity and novelty: what is public about an item, added to its score.

Each feature lies in [-1, 1] and depends on the item and its catalogue alone, so that a single
item can be explained without looking at all others. 0 is the answer where nothing is known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from ondevice.config import FEATURES, Ranking
from ondevice.domain import Item
from ondevice.formats.tensors import F32
from ondevice.ranking.score import F64, I64

HALF_NEW = 3.0  # years in which newness halves
_MIDDLE_RATING, _RATING_REACH = 3.5, 1.5  # of 0 to 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One feature of one item, as a part of its score."""

    name: str
    label: str
    share: float


def feature_shares(
    items: Sequence[Item],
    rows: I64,
    bias: F32,
    ranking: Ranking,
    *,
    spread: float,
    today: date | None,
) -> F64:
    """Return what the features add to each score, (m, len(FEATURES)).

    Args:
        items: m items.
        rows: (m,), where they are in the catalogue.
        bias: (n,), of the whole catalogue: how popular each item is, in units of the score.
        ranking: the weights.
        spread: standard deviation of all scores; what a weight of 1 stands for.
        today: what recency counts from; None leaves recency out.
    """
    out = np.zeros((len(items), len(FEATURES)))
    if ranking.rating:
        out[:, 0] = ranking.rating * np.array([_rating(item) for item in items])
    if ranking.recency and today is not None:
        out[:, 1] = ranking.recency * np.array([_recency(item, today) for item in items])
    if ranking.popularity or ranking.novelty:
        known = _known(bias, rows)
        out[:, 2] = ranking.popularity * known
        out[:, 3] = ranking.novelty * np.maximum(0.0, -known)
    return out * spread


def told(item: Item, shares: Sequence[float]) -> Iterator[Feature]:
    """Yield the features of one item that count, in words."""
    words = (
        f"rated {item.rating:g} of 5" if item.rating is not None else "not rated",
        f"from {item.date[:4]}" if item.date else "no date",
        "how many people like it",
        "how few people know it",
    )
    for name, label, share in zip(FEATURES, words, shares, strict=True):
        if share:
            yield Feature(name=name, label=label, share=float(share))


def _rating(item: Item) -> float:
    if item.rating is None:
        return 0.0
    return float(np.clip((item.rating - _MIDDLE_RATING) / _RATING_REACH, -1.0, 1.0))


def _recency(item: Item, today: date) -> float:
    """1 for today, 0 for what has no date, halved every three years."""
    if item.date is None:
        return 0.0
    whole = item.date + "-01-01"[len(item.date) - 4 :] if len(item.date) < 10 else item.date
    years = (today - date.fromisoformat(whole)).days / 365.25
    return float(2.0 ** (-max(0.0, years) / HALF_NEW))


def _known(bias: F32, rows: I64) -> F64:
    """How popular: -1 to 1, in two standard deviations around the mean."""
    spread = float(bias.std())
    if not len(bias) or spread == 0.0:
        return np.zeros(len(rows))
    return np.clip((bias[rows].astype(np.float64) - float(bias.mean())) / (2 * spread), -1.0, 1.0)
