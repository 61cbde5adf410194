"""Several interests: every past item speaks for itself, and the loudest are heard. Owner only.

A mean of what somebody did lies between their interests; a log-sum-exp over the deeds keeps each
of them. What deeds ask for, how fast they fade and how loud they are is learned from the
publisher's users (`ondevice-server train-head`) and travels with the space, in the group
`interests`. It reads raw history, so no shared view may be made of it (PRIVACY.md 1).

    score_j = log sum_i p_i exp(tau <q_i, x_j>) + b_j,   q_i = unit(x_i M),   sum_i p_i = 1

Arrays of the group, k being the width of the items' vectors:
    query        (k, k)  M, what an item asks for
    positions    (l,)    log weight of the newest deed, the one before it, …; all older ones
                         weigh as the last
    temperature  (1,)    tau
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import FormatError
from ondevice.formats.tensors import F32
from ondevice.ranking.score import F64

Floats = NDArray[np.floating[Any]]

_MOST = 4096  # l, and k
_BLOCK = 4096  # items widened at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interests:
    """How deeds speak, as a space says."""

    query: F64  # (k, k)
    positions: F64  # (l,), newest first, log weights
    temperature: float  # units of the score in one unit of cosine

    @classmethod
    def of(cls, arrays: Mapping[str, F32]) -> "Interests":
        """Read the group `interests` of a space.

        Raises:
            FormatError: an array is missing, or of another shape.
        """
        try:
            query, positions, temperature = (
                np.asarray(arrays[name], dtype=np.float64)
                for name in ("query", "positions", "temperature")
            )
        except KeyError as error:
            raise FormatError(f"the space's interests have no array {error}") from error
        k = len(query)
        fits = query.shape == (k, k) and positions.ndim == 1 and temperature.shape == (1,)
        if not fits or not 0 < k <= _MOST or not 0 < len(positions) <= _MOST:
            raise FormatError("the space's interests have arrays of shapes that do not fit")
        finite = all(np.isfinite(array).all() for array in (query, positions, temperature))
        if not finite or not 0 < temperature[0] < 1e6:
            raise FormatError("the space's interests hold numbers that can't be used")
        return cls(query=query, positions=positions, temperature=float(temperature[0]))

    def arrays(self) -> dict[str, F32]:
        """Return the group as a space holds it."""
        return {
            "query": self.query.astype(np.float32),
            "positions": self.positions.astype(np.float32),
            "temperature": np.array([self.temperature], dtype=np.float32),
        }


def likeness(
    interests: Interests, deeds: Floats, vectors: Floats, *, weights: F64 | None = None
) -> F64:
    """Return `log sum_i p_i exp(tau <q_i, x_j>)` of every item, (n,); 0 without deeds.

    Args:
        interests: of the space.
        deeds: (m, k), vectors of what was done, newest last: rows of the catalogue, or free text.
        vectors: (n, k), unit rows (zeros allowed): all items.
        weights: (m,), of the kinds of the deeds, >= 0; equal ones by default. A weight of 0
            silences a deed; it keeps its place in the order.

    Where memory is short, `vectors` may be any part of the items: each stands for itself.
    """
    asked, loud = _asked(interests, deeds, weights)
    out = np.zeros(len(vectors))
    if not len(asked):
        return out
    for at in range(0, len(vectors), _BLOCK):
        part = vectors[at : at + _BLOCK].astype(np.float64)
        out[at : at + _BLOCK] = _log_sum(asked @ part.T, loud)
    return out


def scores(
    interests: Interests,
    deeds: Floats,
    vectors: Floats,
    bias: Floats,
    *,
    weights: F64 | None = None,
) -> F64:
    """Return the score of every item, (n,): `likeness` and the bias (n,) of the build."""
    return likeness(interests, deeds, vectors, weights=weights) + bias


def one_vector(
    interests: Interests,
    deeds: Floats,
    vectors: Floats,
    bias: Floats,
    *,
    weights: F64 | None = None,
) -> F64:
    """Return `tau <u, x_j> + b_j` of every item, (n,), with `u = unit(sum_i p_i x_i M)`.

    One user vector instead of several interests: what heads of that kind were trained for, and
    what the others are compared with. Arguments as in `scores`.
    """
    heard = _heard(deeds, weights)
    _, loud = _asked(interests, deeds, weights)
    if not len(heard):
        return np.asarray(bias, dtype=np.float64).copy()
    mean = np.exp(loud) @ np.asarray(deeds, dtype=np.float64)[heard] @ interests.query
    length = float(np.linalg.norm(mean))
    user = interests.temperature / (length or 1.0) * mean
    out = np.asarray(bias, dtype=np.float64).copy()
    for at in range(0, len(vectors), _BLOCK):
        out[at : at + _BLOCK] += vectors[at : at + _BLOCK].astype(np.float64) @ user
    return out


def shares(
    interests: Interests, deeds: Floats, vector: Floats, *, weights: F64 | None = None
) -> F64:
    """Return what each deed adds to the likeness of one item; they sum to it within 1e-9.

    A share is the chance that this deed is the one meant, `p_i exp(tau c_i)` over their sum,
    times the likeness: a deed that says nothing about the item has none of it. With the bias they
    make up the score.

    Args:
        interests: of the space.
        deeds: (m, k), newest last.
        vector: (k,), of the item.
        weights: as in `likeness`.
    """
    asked, loud = _asked(interests, deeds, weights)
    out = np.zeros(len(deeds))
    if not len(asked):
        return out
    powers = asked @ np.asarray(vector, dtype=np.float64) + loud
    chances = np.exp(powers - powers.max())
    chances /= chances.sum()
    out[_heard(deeds, weights)] = chances * _log_sum((asked @ vector)[:, None], loud)[0]
    return out


def _heard(deeds: Floats, weights: F64 | None) -> NDArray[np.int64]:
    """Return which deeds have a say: those that say something, with a weight."""
    says = np.asarray(deeds, dtype=np.float64).any(axis=1) if len(deeds) else np.zeros(0, bool)
    return np.flatnonzero(says if weights is None else says & (np.asarray(weights) > 0))


def _asked(interests: Interests, deeds: Floats, weights: F64 | None) -> tuple[F64, F64]:
    """Return tau q (h, k) and log p (h,) of the deeds that are heard."""
    heard = _heard(deeds, weights)
    if not len(heard):
        return np.zeros((0, len(interests.query))), np.zeros(0)
    asked = np.asarray(deeds, dtype=np.float64)[heard] @ interests.query
    lengths = np.linalg.norm(asked, axis=1, keepdims=True)
    asked *= interests.temperature / np.where(lengths > 0, lengths, 1.0)
    ages = len(deeds) - 1 - heard
    loud = interests.positions[np.minimum(ages, len(interests.positions) - 1)]
    if weights is not None:
        loud = loud + np.log(np.asarray(weights, dtype=np.float64)[heard])
    top = loud.max()
    return asked, loud - top - np.log(np.exp(loud - top).sum())


def _log_sum(powers: F64, loud: F64) -> F64:
    """Return log sum_i exp(powers_ij + loud_i): (h, n), (h,) → (n,)."""
    powers = powers + loud[:, None]
    top = powers.max(axis=0)
    return np.asarray(top + np.log(np.exp(powers - top).sum(axis=0)))
