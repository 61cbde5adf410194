"""The owner's list without noise: from raw history, with as many interests as there are deeds.

The owner's choice, off by default, and never part of a shared view. A mean of all that somebody
did lies between their interests; a smooth maximum over the deeds keeps each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ondevice.domain import Part
from ondevice.formats.catalogue import Catalogue
from ondevice.profile import interests
from ondevice.profile.explain import POPULARITY
from ondevice.ranking.score import F64, I64, products

SHARP = 8.0  # how near the smooth maximum is to the maximum; public, the same for everybody
DISLIKED = 0.5  # of the temperature: how much likeness to what was disliked takes off
NEWEST = 300  # deeds that count


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """m deeds, newest first."""

    labels: tuple[str, ...]
    vectors: F64  # (m, d), unit rows
    weights: F64  # (m,), of their kinds times what age leaves of them, -1 to 1


@dataclass(frozen=True, kw_only=True, eq=False)
class FromHistory:
    """Scores of raw history: `tau * (likeness - DISLIKED * max(0, unlikeness)) + bias`.

    Likeness to deeds with weights w and cosines c is `log(sum p e^(SHARP c)) / SHARP`, where p are
    the weights made to sum to 1. A deed's part of it is its share of the sum (the chance that it is
    the one meant), so parts add up. Without deeds it is 0: the list is that of popularity.
    """

    history: History
    catalogue: Catalogue
    temperature: float

    @cached_property
    def _cosines(self) -> F64:
        """(m, n)."""
        c = self.catalogue
        return products(self.history.vectors, c.codes, c.inverse_norms)

    @cached_property
    def values(self) -> F64:
        """(n,), additive scores."""
        liked = self.history.weights > 0
        near = _smooth_maximum(self._cosines[liked], self.history.weights[liked])
        far = _smooth_maximum(self._cosines[~liked], -self.history.weights[~liked])
        lean = near - DISLIKED * np.maximum(0.0, far)
        return np.asarray(self.temperature * lean + self.catalogue.bias)

    @cached_property
    def usual(self) -> float:
        """The popularity of the middle item."""
        return float(np.median(self.catalogue.bias)) if len(self.catalogue) else 0.0

    def parts(self, row: int) -> list[Part]:
        """What the score of `row` consists of."""
        h, bias = self.history, float(self.catalogue.bias[row])
        liked = h.weights > 0
        cosines = self._cosines[:, [row]]
        shares = np.zeros(len(h.weights))
        near = _smooth_maximum(cosines[liked], h.weights[liked])[0]
        far = max(0.0, _smooth_maximum(cosines[~liked], -h.weights[~liked])[0])
        shares[liked] = near * _responsible(cosines[liked, 0], h.weights[liked])
        shares[~liked] = -DISLIKED * far * _responsible(cosines[~liked, 0], -h.weights[~liked])
        return [
            *(
                Part(kind="behaviour", label=label, share=self.temperature * share)
                for label, share in zip(h.labels, shares.tolist(), strict=True)
            ),
            Part(kind="popularity", label=POPULARITY, share=bias),
        ]

    def noise(self, rows: I64) -> F64:
        """(m,): there is none."""
        return np.zeros(len(rows))


@dataclass(frozen=True, kw_only=True, eq=False)
class FromInterests:
    """Scores of raw history where the space was trained to say how deeds speak.

    `likeness - max(0, DISLIKED * likeness to what was disliked) + bias`, see `profile.interests`;
    a deed's part is its share of the likeness. Ages are those that the space has learned.
    """

    history: History  # weights of the kinds alone
    catalogue: Catalogue
    learned: interests.Interests

    @cached_property
    def _oldest_first(self) -> tuple[F64, F64, F64]:
        """Deeds (m, d), and how much each was liked and disliked (m,)."""
        weights = self.history.weights[::-1]
        return self.history.vectors[::-1], np.maximum(weights, 0.0), np.maximum(-weights, 0.0)

    @cached_property
    def values(self) -> F64:
        """(n,), additive scores."""
        deeds, liked, disliked = self._oldest_first
        units = self.catalogue.unit()
        out = interests.likeness(self.learned, deeds, units, weights=liked)
        if disliked.any():
            far = interests.likeness(self.learned, deeds, units, weights=disliked)
            out = out - DISLIKED * np.maximum(0.0, far)
        return np.asarray(out + self.catalogue.bias)

    @cached_property
    def usual(self) -> float:
        """The popularity of the middle item."""
        return float(np.median(self.catalogue.bias)) if len(self.catalogue) else 0.0

    def parts(self, row: int) -> list[Part]:
        """What the score of `row` consists of."""
        deeds, liked, disliked = self._oldest_first
        unit = self.catalogue.unit([row])[0]
        shares = interests.shares(self.learned, deeds, unit, weights=liked)
        against = interests.shares(self.learned, deeds, unit, weights=disliked)
        if against.sum() > 0.0:
            shares = shares - DISLIKED * against
        parts = [
            Part(kind="behaviour", label=label, share=share)
            for label, share in zip(self.history.labels, shares[::-1].tolist(), strict=True)
        ]
        bias = float(self.catalogue.bias[row])
        return [*parts, Part(kind="popularity", label=POPULARITY, share=bias)]

    def noise(self, rows: I64) -> F64:
        """(m,): there is none."""
        return np.zeros(len(rows))


def exact_base(history: History, catalogue: Catalogue) -> FromHistory | FromInterests:
    """Return the scores that raw history gives, as the space learned it, else by public constants.

    Args:
        history: newest first, with the weights of the kinds alone.
        catalogue: in the space of the history.
    """
    learned = catalogue.space.interests
    if learned is not None:
        return FromInterests(
            history=history, catalogue=catalogue, learned=interests.Interests.of(learned)
        )
    return FromHistory(
        history=history_of(
            history.labels,
            history.vectors,
            history.weights,
            half_life=catalogue.space.half_life,
        ),
        catalogue=catalogue,
        temperature=catalogue.space.temperature,
    )


def history_of(
    labels: Sequence[str], vectors: F64, kinds: Sequence[float] | F64, *, half_life: int
) -> History:
    """Return the newest deeds that count.

    Args:
        labels: m deeds, newest first.
        vectors: (m, d), unit rows.
        kinds: (m,), the weights of their kinds.
        half_life: deeds after which one counts half.
    """
    weights = np.asarray(kinds, dtype=np.float64) * 2.0 ** (-np.arange(len(kinds)) / half_life)
    counts = np.flatnonzero(weights)[:NEWEST]
    return History(
        labels=tuple(labels[i] for i in counts),
        vectors=vectors[counts],
        weights=weights[counts],
    )


def _smooth_maximum(cosines: F64, weights: F64) -> F64:
    """(m, n), (m,) → (n,)."""
    if not len(weights):
        return np.zeros(cosines.shape[1])
    powers = SHARP * cosines + np.log(weights / weights.sum())[:, None]
    top = powers.max(axis=0)
    return np.asarray((top + np.log(np.exp(powers - top).sum(axis=0))) / SHARP)


def _responsible(cosines: F64, weights: F64) -> F64:
    """(m,), (m,) → (m,), summing to 1."""
    if not len(weights):
        return cosines
    powers = SHARP * cosines + np.log(weights)
    chances = np.exp(powers - powers.max())
    return np.asarray(chances / chances.sum())
