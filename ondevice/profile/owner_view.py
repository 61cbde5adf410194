"""The view of the person at this device: exact filters, feedback at once, exact explanations."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ondevice.domain import Part, Verdict
from ondevice.formats.catalogue import Catalogue
from ondevice.profile.base import Base, FromRelease
from ondevice.profile.explain import DIFFERENT, SAID, Because, Past, Step, because
from ondevice.profile.pipeline import NOTHING, Listing, Order, Wish, arrange, further, spread_of
from ondevice.profile.release import Profile
from ondevice.ranking.features import feature_shares, told
from ondevice.ranking.overlay import Feedback, adjustments, excluded
from ondevice.ranking.picks import Pick, picked
from ondevice.ranking.score import F64, I64

_NOBODY: frozenset[int] = frozenset()
BARE = Wish()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One place of the owner's list."""

    row: int
    score: float  # additive: what `explain` takes apart
    because: Because


@dataclass(frozen=True, kw_only=True, eq=False)
class Owner:
    """Everything that one owner's list of one catalogue depends on, but for what was shown last.

    Args of the same name mean the same in `rank`.
    """

    base: Base
    catalogue: Catalogue
    wish: Wish = BARE
    seen: AbstractSet[int] = _NOBODY
    hidden: AbstractSet[int] = _NOBODY
    overlay: Feedback = ()
    picks: Sequence[Pick] = ()
    steps: int = 0

    @cached_property
    def spread(self) -> float:
        """Standard deviation of the scores before anything was said."""
        return spread_of(self.base.values)

    @cached_property
    def _picked(self) -> list[tuple[Pick, I64, F64]]:
        c = self.catalogue
        shares = picked(self.picks, c.codes, c.inverse_norms, spread=self.spread, steps=self.steps)
        return [(pick, *_nonzero(share)) for pick, share in zip(self.picks, shares, strict=True)]

    @cached_property
    def _fused(self) -> list[tuple[str, F64]]:
        return further(self.base.values, self.catalogue, spread=self.spread)

    @cached_property
    def _known(self) -> F64:
        """(n,), scores with picked interests and further spaces, without feedback."""
        values = self.base.values.copy()
        for _, rows, shares in self._picked:
            values[rows] += shares
        for _, share in self._fused:
            values += share
        return values

    @cached_property
    def _said(self) -> list[tuple[int, Verdict, I64, F64]]:
        c = self.catalogue
        moves = adjustments(self._known, c.codes, c.inverse_norms, self.overlay, seen=self.seen)
        return [
            (row, verdict, *_nonzero(delta))
            for (row, verdict), delta in zip(self.overlay, moves, strict=True)
        ]

    @cached_property
    def values(self) -> F64:
        """(n,), additive scores without features."""
        values = self._known.copy()
        for _, _, rows, deltas in self._said:
            values[rows] += deltas
        return values

    @property
    def excluded(self) -> frozenset[int]:
        """Rows that never enter the list."""
        return frozenset(self.seen | self.hidden | excluded(self.overlay))

    def listing(
        self, *, limit: int, page: int = 1, last: Order = NOTHING, new: Feedback = ()
    ) -> Listing:
        """Return one page of the list, and the order that it belongs to.

        Args:
            limit: places on a page.
            page: from 1.
            last: what was shown last.
            new: the part of the overlay that was said since.
        """
        fresh = set(new)
        touched = {
            row
            for about, verdict, rows, _ in self._said
            if (about, verdict) in fresh
            for row in rows.tolist()
        }
        return arrange(
            self.values,
            self.catalogue,
            self.wish,
            excluded=self.excluded,
            spread=self.spread,
            last=last,
            noise=self.base.noise,
            touched=touched,
            limit=limit,
            page=page,
        )

    def explain(self, row: int) -> list[Part]:
        """Return the additive parts of the score of `row`; their shares sum to it within 1e-6."""
        item = self.catalogue.records[row]
        shares = feature_shares(
            [item],
            np.array([row]),
            self.catalogue.bias,
            self.wish.ranking,
            spread=self.spread,
            today=self.wish.today,
        )
        parts = self.base.parts(row)
        parts += [
            Part(kind="feature", label=one.label, share=one.share) for one in told(item, shares[0])
        ]
        parts += [
            Part(kind="feature", label=f"its {name} fits the rest", share=float(share[row]))
            for name, share in self._fused
            if share[row]
        ]
        parts += [
            Part(kind="overlay", label=f"you picked “{pick.label}”", share=share)
            for pick, rows, deltas in self._picked
            if (share := _at(row, rows, deltas))
        ]
        titles = self.catalogue.records
        parts += [
            Part(kind="overlay", label=f"{SAID[verdict]} “{titles[about].title}”", share=share)
            for about, verdict, rows, deltas in self._said
            if (share := _at(row, rows, deltas))
        ]
        return parts

    def because(self, row: int, *, found: bool = False) -> Because:
        """Return the main reason for the place of `row`."""
        if found:
            part = Part(kind="feature", label=DIFFERENT, share=0.0)
            return Because(kind="discovery", parts=(part,))
        return because(self.explain(row), usual=self.base.usual)


def rank(
    profile: Profile,
    catalogue: Catalogue,
    *,
    seen: AbstractSet[int] = _NOBODY,
    hidden: AbstractSet[int] = _NOBODY,
    overlay: Feedback = (),
    steps: Sequence[Step] = (),
    older: F64 | None = None,
    limit: int = 10,
    page: int = 1,
) -> list[Ranked]:
    """Return one page of the list by score alone, best first; see `Owner` for all the rest.

    Args:
        profile: of this person.
        catalogue: in the profile's space.
        seen: rows to leave out, as what the person knows already.
        hidden: rows to leave out for any other reason; they don't change what feedback does.
        overlay: standing verdicts, oldest first; hidden and liked items leave the list, and
            only verdicts after a hide miss the hidden item.
        steps: what the person did lately, for `because`.
        older: decayed sum of what they did before, in grid units.
        limit: places on a page.
        page: from 1.
    """
    owner = _owner(profile, catalogue, steps, older)
    owner = replace(owner, seen=seen, hidden=hidden, overlay=overlay)
    listed = owner.listing(limit=limit, page=page)
    return [
        Ranked(row=one.row, score=one.score, because=owner.because(one.row)) for one in listed.page
    ]


def explain(
    profile: Profile,
    catalogue: Catalogue,
    row: int,
    steps: Sequence[Step],
    *,
    seen: AbstractSet[int] = _NOBODY,
    overlay: Feedback = (),
    older: F64 | None = None,
    forgotten: bool = False,
) -> list[Part]:
    """Return the additive parts of the score that `rank` gives item `row`.

    Args:
        profile: of this person.
        catalogue: in the profile's space.
        row: of the item.
        steps: behaviours to tell one by one.
        seen: as in `rank`.
        overlay: as in `rank`.
        older: decayed sum of the behaviours that are not in `steps`, in grid units.
        forgotten: whether something that went into the profile was forgotten.
    """
    owner = _owner(profile, catalogue, steps, older, forgotten=forgotten)
    return replace(owner, seen=seen, overlay=overlay).explain(row)


def _owner(
    profile: Profile,
    catalogue: Catalogue,
    steps: Sequence[Step],
    older: F64 | None,
    *,
    forgotten: bool = False,
) -> Owner:
    past = Past.of(profile, steps, older)
    base = FromRelease(profile=profile, catalogue=catalogue, past=past, forgotten=forgotten)
    return Owner(base=base, catalogue=catalogue, steps=profile.steps)


def _nonzero(delta: F64) -> tuple[I64, F64]:
    rows = np.flatnonzero(delta)
    return rows, delta[rows]


def _at(row: int, rows: I64, deltas: F64) -> float:
    return float(deltas[rows == row].sum())
