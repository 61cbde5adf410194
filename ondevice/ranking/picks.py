"""Picked interests: what a list starts from before anybody did anything, as parts of the score."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ondevice.formats.tensors import F32, I8
from ondevice.ranking.score import F64, products

STRENGTH = 2.0  # spreads of the scores for an item one deviation nearer to the interest than most
FADE = 20.0  # steps after which a pick counts half
_REACH = 3.0  # deviations that count at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pick:
    """One interest."""

    label: str
    vector: F64  # (d,), unit


def picked(
    picks: Sequence[Pick], codes: I8, inverse_norms: F32, *, spread: float, steps: int
) -> Iterator[F64]:
    """Yield what each pick adds to the scores, (n,); of several, an item takes the largest alone.

    With z how many deviations an item is nearer to the pick than the mean item, the share is
    `2 spread * z / (1 + steps / 20)`, z from 0 to 3.

    Args:
        picks: k interests.
        codes: (n, d).
        inverse_norms: (n,).
        spread: standard deviation of the scores.
        steps: how many the profile has taken in.
    """
    if not picks or not len(codes):
        return
    near = products(np.stack([pick.vector for pick in picks]), codes, inverse_norms)  # (k, n)
    deviation = near.std(axis=1, keepdims=True)
    z = (near - near.mean(axis=1, keepdims=True)) / np.where(deviation > 0.0, deviation, 1.0)
    share = np.clip(z, 0.0, _REACH) * (STRENGTH * spread / (1.0 + steps / FADE))
    best = share.argmax(axis=0)
    for k in range(len(picks)):
        yield np.where(best == k, share[k], 0.0)
