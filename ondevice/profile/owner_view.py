"""The view of the person at this device: exact filters, feedback at once, exact explanations."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from ondevice.domain import Part
from ondevice.formats.catalogue import Catalogue
from ondevice.profile.explain import Because, Past, Step, because, parts_of
from ondevice.profile.release import Profile
from ondevice.ranking.overlay import Feedback, adjustments, excluded
from ondevice.ranking.score import F64, I64, scores, top_k

_NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One place of the owner's list."""

    row: int
    score: float  # additive: what `explain` takes apart
    because: Because


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
    """Return one page of the list, best first.

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
    base = _base(profile, catalogue)
    values = base.copy()
    moves = [
        _nonzero(delta)
        for delta in adjustments(base, catalogue.codes, catalogue.inverse_norms, overlay, seen=seen)
    ]
    for rows, deltas in moves:
        values[rows] += deltas
    chosen = top_k(values, limit * page, seen | hidden | excluded(overlay))
    general = scores(
        profile.prior,
        catalogue.codes,
        catalogue.inverse_norms,
        catalogue.bias,
        profile.temperature,
    )
    usual = float(np.median(general)) if len(general) else 0.0
    past = Past.of(profile, steps, older)
    ranked = []
    for row in chosen[limit * (page - 1) :].tolist():
        said = [
            (about, verdict, float(deltas[rows == row].sum()))
            for (about, verdict), (rows, deltas) in zip(overlay, moves, strict=True)
        ]
        reason = because(parts_of(profile, catalogue, row, past, said=said), usual=usual)
        ranked.append(Ranked(row=row, score=float(values[row]), because=reason))
    return ranked


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
    base = _base(profile, catalogue)
    moves = adjustments(base, catalogue.codes, catalogue.inverse_norms, overlay, seen=seen)
    said = [
        (about, verdict, float(delta[row]))
        for (about, verdict), delta in zip(overlay, moves, strict=True)
    ]
    past = Past.of(profile, steps, older)
    return parts_of(profile, catalogue, row, past, said=said, forgotten=forgotten)


def _base(profile: Profile, catalogue: Catalogue) -> F64:
    return scores(
        profile.u, catalogue.codes, catalogue.inverse_norms, catalogue.bias, profile.temperature
    )


def _nonzero(delta: F64) -> tuple[I64, F64]:
    rows = np.flatnonzero(delta)
    return rows, delta[rows]
