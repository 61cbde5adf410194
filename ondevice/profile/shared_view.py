"""The view for others: a function of released rows, the bundle and what it emitted before.

Nothing else can reach it: this module can't import behaviours, steps, feedback or the store (a
contract), so two people with the same rows get the same list, byte for byte (a test). Rules,
feature weights and interests act on it only where they are public configuration (PRIVACY.md 1).
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ondevice.domain import Part
from ondevice.formats.catalogue import Catalogue
from ondevice.privacy.decoder import decode
from ondevice.privacy.stream import StreamParameters
from ondevice.profile.pipeline import (
    NOTHING,
    Listing,
    Order,
    Wish,
    arrange,
    further,
    noise_of,
    spread_of,
)
from ondevice.profile.release import WEIGHT_MEAN, Profile, profile
from ondevice.ranking.features import feature_shares, told
from ondevice.ranking.picks import Pick, picked
from ondevice.ranking.score import F64, scores

PROFILE = "the private profile of this home"
POPULARITY = "popularity"
BARE = Wish()


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRanked:
    """One place of the shared list."""

    row: int
    score: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Shared:
    """Everything that the shared list of one catalogue depends on, but for what it showed last."""

    released: Profile
    catalogue: Catalogue
    wish: Wish = BARE
    picks: Sequence[Pick] = ()  # interests of the public configuration
    emitted: AbstractSet[int] = frozenset()  # rows that this view has shown already

    @cached_property
    def _base(self) -> F64:
        c, p = self.catalogue, self.released
        return scores(p.u, c.codes, c.inverse_norms, c.bias, p.temperature)

    @cached_property
    def spread(self) -> float:
        """Standard deviation of the scores of the release."""
        return spread_of(self._base)

    @cached_property
    def _picked(self) -> list[F64]:
        c = self.catalogue
        return list(
            picked(
                self.picks,
                c.codes,
                c.inverse_norms,
                spread=self.spread,
                steps=self.released.steps,
            )
        )

    @cached_property
    def _fused(self) -> list[tuple[str, F64]]:
        return further(self._base, self.catalogue, spread=self.spread)

    @cached_property
    def values(self) -> F64:
        """(n,), additive scores without features."""
        added = [*self._picked, *(share for _, share in self._fused)]
        return self._base + sum(added, np.zeros(len(self._base)))

    def listing(self, *, limit: int, last: Order = NOTHING) -> Listing:
        """Return the next `limit` items, never one that was emitted before.

        Args:
            limit: how many, at most.
            last: the order behind the items emitted last; noise alone changes nothing in it.
        """
        return arrange(
            self.values,
            self.catalogue,
            self.wish,
            excluded=self.emitted,
            spread=self.spread,
            last=last,
            noise=lambda rows: noise_of(self.released, self.catalogue, rows),
            limit=limit,
        )

    def explain(self, row: int) -> list[Part]:
        """Return the additive parts of the score of `row`, as far as the release knows them.

        What typical people like and what was released here are one part: apart they would say no
        more to anybody, and the noise is never told.
        """
        c, item = self.catalogue, self.catalogue.records[row]
        shares = feature_shares(
            [item],
            np.array([row]),
            c.bias,
            self.wish.ranking,
            spread=self.spread,
            today=self.wish.today,
        )
        bias = float(c.bias[row])
        parts = [
            Part(kind="prior", label=PROFILE, share=float(self._base[row]) - bias),
            Part(kind="popularity", label=POPULARITY, share=bias),
        ]
        parts += [
            Part(kind="feature", label=one.label, share=one.share) for one in told(item, shares[0])
        ]
        parts += [
            Part(kind="feature", label=f"its {name} fits the rest", share=float(share[row]))
            for name, share in self._fused
            if share[row]
        ]
        parts += [
            Part(kind="feature", label=f"set to start from “{pick.label}”", share=float(share[row]))
            for pick, share in zip(self.picks, self._picked, strict=True)
            if share[row]
        ]
        return parts


def rank(
    released: Profile, catalogue: Catalogue, *, emitted: AbstractSet[int], limit: int
) -> list[SharedRanked]:
    """Return the best `limit` items by score alone that this view did not emit before.

    Args:
        released: the profile; a function of released rows.
        catalogue: in the profile's space.
        emitted: rows that this view has shown already.
        limit: how many, at most.
    """
    shared = Shared(released=released, catalogue=catalogue, emitted=emitted)
    listed = shared.listing(limit=limit)
    return [SharedRanked(row=one.row, score=one.score) for one in listed.page]


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
