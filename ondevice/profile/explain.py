"""Why an item is where it is: additive parts that sum to its score. For the owner only.

The noise is shown exactly, and so gives the sum of what was done away: no shared view and no
token may ask for this (PRIVACY.md 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ondevice.domain import Part, Verdict
from ondevice.formats.catalogue import Catalogue
from ondevice.privacy.clipping import GRID
from ondevice.privacy.decoder import F64
from ondevice.profile.release import Profile

NOISE = "noise"
NOISE_AND_FORGOTTEN = "noise and what you have forgotten"
OLDER = "older things you did"
PRIOR = "what people like in general"
POPULARITY = "popularity"
POPULAR_START = "many people like it"
MOSTLY_NOISE = "of noise, mostly: it hides you"
DIFFERENT = "it is something different"

SAID = {
    Verdict.LIKE: "you liked",
    Verdict.LESS: "you wanted less like",
    Verdict.OPEN: "you opened",
    Verdict.DWELL: "you spent time on",
}


class Step(Protocol):
    """A behaviour inside the stream (the store's PastStep is one)."""

    @property
    def label(self) -> str:
        """What it was, in words that its owner knows, as in "you liked …"."""
        ...

    @property
    def age(self) -> int:
        """Rows released since."""
        ...

    @property
    def x(self) -> Sequence[int]:
        """The step, in grid units, not decayed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Because:
    """The main reason for one place of a list."""

    kind: str  # behaviour | popularity | noise | overlay
    parts: tuple[Part, ...]  # what to name, the largest share first

    @property
    def line(self) -> str:
        """One line for people, where labels of steps say what a person did ("you liked …")."""
        names = _joined([part.label for part in self.parts])
        return f"because of {names}" if self.parts[0].kind == "older" else f"because {names}"


def _joined(labels: Sequence[str]) -> str:
    """Join what a person did, saying only once what is the same: "you liked “A” and “B”"."""
    first, *others = labels
    deed = first.partition("“")[0]
    words = [first]
    for label in others:
        verb, quote, name = label.partition("“")
        words.append(quote + name if quote and verb == deed else label.removeprefix("you "))
    return " and ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Past:
    """What a person did, as it sits in v: the steps told one by one, and all others as a sum."""

    labels: tuple[str, ...]
    decayed: F64  # (m, d), beta^age * step, in space units
    older: F64  # (d,), in space units

    @classmethod
    def of(cls, profile: Profile, steps: Sequence[Step], older: F64 | None = None) -> "Past":
        """Decay `steps`; `older` is the decayed sum of all others, in grid units."""
        d = len(profile.v)
        x = np.array([step.x for step in steps], dtype=np.float64).reshape(len(steps), d)
        ages = np.array([step.age for step in steps], dtype=np.float64)
        return cls(
            labels=tuple(step.label for step in steps),
            decayed=profile.beta ** ages[:, None] * x / GRID,
            older=np.zeros(d) if older is None else np.asarray(older) / GRID,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """One stream's release as it enters the user vector: `gain @ v` is its part of u."""

    gain: F64  # (d, k)
    v: F64  # (k,)
    past: Past  # of k dimensions


def parts_of(
    profile: Profile,
    catalogue: Catalogue,
    row: int,
    past: Past,
    *,
    more: Sequence[Evidence] = (),
    forgotten: bool = False,
) -> list[Part]:
    """Return the parts of a released score of item `row`; their shares sum to it within 1e-6.

    Args:
        profile: of this person.
        catalogue: where the item is.
        row: of the item.
        past: what went into the profile.
        more: releases of other streams that the user vector holds too.
        forgotten: whether anything that went into the profile was forgotten; it can't be told
            from the noise any more.
    """
    unit = catalogue.codes[row].astype(np.float64) * float(catalogue.inverse_norms[row])
    parts: list[Part] = []
    older = noise = 0.0
    main = Evidence(gain=profile.gain, v=profile.v, past=past)
    for evidence in (main, *more):
        pull = profile.temperature * (unit @ evidence.gain)  # (k,): score per unit of v
        shares = evidence.past.decayed @ pull
        rest = float(evidence.past.older @ pull)
        parts += [
            Part(kind="behaviour", label=label, share=float(share))
            for label, share in zip(evidence.past.labels, shares, strict=True)
        ]
        older += rest
        noise += float(pull @ evidence.v) - float(shares.sum()) - rest
    if any(evidence.past.older.any() for evidence in (main, *more)):
        parts.append(Part(kind="older", label=OLDER, share=older))
    prior = profile.temperature * float(unit @ (profile.u - profile.gain @ profile.v))
    parts += [
        Part(kind="prior", label=PRIOR, share=prior),
        Part(kind="noise", label=NOISE_AND_FORGOTTEN if forgotten else NOISE, share=noise),
        Part(kind="popularity", label=POPULARITY, share=float(catalogue.bias[row])),
    ]
    return parts


def because(parts: Sequence[Part], *, usual: float) -> Because:
    """Return the main reason among `parts`.

    Args:
        parts: of one item.
        usual: prior and popularity of the middle item of the catalogue; what an item has beyond
            it makes it a popular one.
    """
    behaviours = [part for part in parts if part.kind in {"behaviour", "older"}]
    overlay = [part for part in parts if part.kind == "overlay"]
    personal = sum(part.share for part in behaviours)
    feedback = sum(part.share for part in overlay)
    noise = sum(part.share for part in parts if part.kind == "noise")
    public = [part for part in parts if part.kind in {"prior", "popularity"}]
    popular = sum(part.share for part in public) - usual
    if feedback > 0 and feedback >= max(personal, noise, popular):
        return Because(kind="overlay", parts=(max(overlay, key=lambda part: part.share),))
    if personal > 0 and personal >= max(abs(noise), popular):
        return Because(kind="behaviour", parts=_largest(behaviours))
    if not behaviours or popular >= abs(noise):
        total = sum(part.share for part in public)
        return Because(
            kind="popularity", parts=(Part(kind="prior", label=POPULAR_START, share=total),)
        )
    return Because(kind="noise", parts=(Part(kind="noise", label=MOSTLY_NOISE, share=noise),))


def _largest(behaviours: Sequence[Part]) -> tuple[Part, ...]:
    """Return the largest of what can be named, and the next if it is at least half of it.

    Steps with one label count together; what is older is named only where nothing else can be.
    """
    totals: dict[str, float] = {}
    for part in behaviours:
        if part.kind == "behaviour":
            totals[part.label] = totals.get(part.label, 0.0) + part.share
    named = [Part(kind="behaviour", label=label, share=s) for label, s in totals.items() if s > 0]
    if not named:
        return tuple(part for part in behaviours if part.kind == "older")
    first, *rest = sorted(named, key=lambda part: -part.share)[:2]
    return (first, *(part for part in rest if part.share >= first.share / 2))
