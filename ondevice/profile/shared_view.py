"""The view for others: a function of released rows, the bundle and what it emitted before.

Nothing else can reach it: this module can't import behaviours, steps, feedback or the store (a
contract), so two people with the same rows get the same list, byte for byte (a test).
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ondevice.formats.catalogue import Catalogue
from ondevice.privacy.decoder import decode
from ondevice.privacy.stream import StreamParameters
from ondevice.profile.release import WEIGHT_MEAN, Profile, profile
from ondevice.ranking.score import scores, top_k


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRanked:
    """One place of the shared list."""

    row: int
    score: float


def rank(
    released: Profile, catalogue: Catalogue, *, emitted: AbstractSet[int], limit: int
) -> list[SharedRanked]:
    """Return the best `limit` items that this view did not emit before.

    Args:
        released: the profile; a function of released rows.
        catalogue: in the profile's space.
        emitted: rows that this view has shown already.
        limit: how many, at most.
    """
    values = scores(
        released.u, catalogue.codes, catalogue.inverse_norms, catalogue.bias, released.temperature
    )
    rows = top_k(values, limit, emitted)
    return [SharedRanked(row=int(row), score=float(values[row])) for row in rows]


def rank_rows(
    parameters: StreamParameters,
    rows: Iterable[Sequence[int]],
    catalogue: Catalogue,
    *,
    emitted: AbstractSet[int],
    limit: int,
    weight_mean: float = WEIGHT_MEAN,
) -> list[SharedRanked]:
    """Return `rank` of the profile that `rows`, oldest first, decode to: the whole view."""
    released = profile(decode(parameters, rows), catalogue.space, weight_mean=weight_mean)
    return rank(released, catalogue, emitted=emitted, limit=limit)
