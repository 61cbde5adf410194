"""Rank, search, explain: the owner's view from everything, the shared view from the release."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ondevice import clock
from ondevice.domain import Kind, Recommendation, Verdict
from ondevice.errors import ConfigError
from ondevice.service.answers import Found, Shown, Why
from ondevice.service.behave import catalogue_of
from ondevice.service.private import privacy_of, released_profile
from ondevice.service.session import Session

if TYPE_CHECKING:
    from ondevice.formats.catalogue import Catalogue
    from ondevice.profile.release import Profile
    from ondevice.ranking.score import F64
    from ondevice.store import PastStep

LEARNING = 20  # behaviours below which the list says that it is still learning
DEED = {
    Kind.VIEW: "you looked at",
    Kind.LIKE: "you liked",
    Kind.PURCHASE: "you bought",
    Kind.SEARCH: "you searched for",
    Kind.LISTEN: "you listened to",
    Kind.USE: "you used",
    Kind.DISLIKE: "you disliked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raw:
    """What the owner's view may know beside the release."""

    steps: "tuple[PastStep, ...]" = ()
    older: "F64 | None" = None
    forgotten: bool = False
    seen: frozenset[int] = frozenset()
    overlay: tuple[tuple[int, Verdict], ...] = ()


def recommend(
    session: Session,
    *,
    catalogue: str | None = None,
    limit: int = 10,
    page: int = 1,
    view: str = "owner",
) -> Shown:
    """Return one page of a catalogue's list.

    Args:
        session: whose list.
        catalogue: its id; None for the one with most behaviours. How many there are in which is
            nobody else's business, so the shared view takes the first one.
        limit: items on a page.
        page: from 1; the shared view has no pages: it never repeats itself.
        view: "owner" or "shared".

    Raises:
        NotReadyError: no such catalogue.
        ConfigError: another view, or a page of the shared one.
    """
    chosen = session.pick(catalogue, public=view == "shared")
    profile = released_profile(session, chosen.space)
    if view == "owner":
        items = _owner(session, chosen, profile, limit, page)
    elif view == "shared" and page == 1:
        items = _shared(session, chosen, profile, limit)
    elif view == "shared":
        raise ConfigError(
            "the shared view has no pages", hint="ask again: it goes on where it stopped"
        )
    else:
        raise ConfigError(f"there is no view '{view}'", hint="views: owner, shared")
    notes = []
    if profile.steps < LEARNING:
        notes.append(f"still learning, {profile.steps} of about {LEARNING}")
    return Shown(
        view=view,
        catalogue=chosen.manifest.catalogue,
        title=chosen.manifest.title,
        items=tuple(items),
        privacy=privacy_of(session),
        steps=profile.steps,
        notes=tuple(notes),
    )


def search(session: Session, text: str, *, catalogue: str | None = None, limit: int = 10) -> Found:
    """Return the items nearest in meaning to `text`; nothing is recorded.

    The score is the cosine in the catalogue's space, -1 to 1.

    Raises:
        ConfigError: an empty, binary or huge text.
    """
    import numpy as np

    from ondevice.encoder.clean import clean
    from ondevice.ranking.score import scores, top_k

    chosen = session.pick(catalogue)
    vector = session.embed(chosen.space, [clean(text)])[1][0]
    values = scores(
        vector.astype(np.float64),
        chosen.codes,
        chosen.inverse_norms,
        np.zeros(len(chosen), dtype=np.float32),
        1.0,
    )
    rows = top_k(values, limit, frozenset()).tolist()
    return Found(
        catalogue=chosen.manifest.catalogue,
        items=tuple(
            Recommendation(rank=place, item=chosen.records[row], score=float(values[row]))
            for place, row in enumerate(rows, start=1)
        ),
    )


def why(session: Session, item: str, *, catalogue: str | None = None) -> Why:
    """Take the score of `item` apart; the shares sum to it. For the owner's eyes only.

    Raises:
        NotReadyError: no such item.
    """
    from ondevice.profile import owner_view

    chosen = session.catalogue(catalogue_of(session, item, catalogue))
    profile = released_profile(session, chosen.space)
    raw = _raw(session, chosen)
    row = chosen.records.row(item)
    parts = owner_view.explain(
        profile,
        chosen,
        row,
        raw.steps,
        seen=raw.seen,
        overlay=raw.overlay,
        older=raw.older,
        forgotten=raw.forgotten,
    )
    return Why(
        catalogue=chosen.manifest.catalogue,
        item=chosen.records[row],
        score=sum(part.share for part in parts),
        parts=tuple(parts),
    )


def _owner(
    session: Session, catalogue: "Catalogue", profile: "Profile", limit: int, page: int
) -> list[Recommendation]:
    from ondevice.profile import owner_view

    raw = _raw(session, catalogue)
    ranked = owner_view.rank(
        profile,
        catalogue,
        seen=raw.seen,
        overlay=raw.overlay,
        steps=raw.steps,
        older=raw.older,
        limit=limit,
        page=page,
    )
    first = limit * (page - 1) + 1
    return [
        Recommendation(
            rank=place,
            item=catalogue.records[one.row],
            score=one.score,
            because=one.because.line,
        )
        for place, one in enumerate(ranked, start=first)
    ]


def _shared(
    session: Session, catalogue: "Catalogue", profile: "Profile", limit: int
) -> list[Recommendation]:
    from ondevice.profile import shared_view

    name = catalogue.manifest.catalogue
    emitted = session.store.emitted.items(name)
    ranked = shared_view.rank(profile, catalogue, emitted=_rows(catalogue, emitted), limit=limit)
    items = [
        Recommendation(rank=place, item=catalogue.records[one.row], score=one.score)
        for place, one in enumerate(ranked, start=1)
    ]
    session.store.emitted.add(name, [one.item.id for one in items], at=clock.now())
    return items


def _raw(session: Session, catalogue: "Catalogue") -> _Raw:
    if not session.has_store:
        return _Raw()
    name, store = catalogue.manifest.catalogue, session.store
    verdicts = store.feedback.current(name)
    overlay = tuple(
        (catalogue.records.row(item), verdict)
        for item, verdict in verdicts.items()
        if catalogue.records.has(item)
    )
    seen = _rows(catalogue, store.seen(name))
    stream = store.ledger.current(catalogue.space.digest)
    if stream is None:
        return _Raw(seen=seen, overlay=overlay)
    past = store.behaviours.steps(stream)
    return _Raw(
        steps=_named(session, past.individual),
        older=past.older if past.older_count else None,
        forgotten=bool(past.forgotten),
        seen=seen,
        overlay=overlay,
    )


def _rows(catalogue: "Catalogue", items: set[str]) -> frozenset[int]:
    records = catalogue.records
    return frozenset(records.row(item) for item in items if records.has(item))


def _named(session: Session, steps: "Sequence[PastStep]") -> "tuple[PastStep, ...]":
    """Say of each step what it was, in words that its owner knows."""
    titles: dict[str, Catalogue] = {}
    here = {one.id for one in session.installed()}

    def title(step: "PastStep") -> str:
        if step.item is None or step.catalogue not in here:
            return step.label
        found = titles.setdefault(step.catalogue, session.catalogue(step.catalogue)).records
        return found[found.row(step.item)].title if found.has(step.item) else step.label

    return tuple(replace(step, label=f"{DEED[step.kind]} “{title(step)}”") for step in steps)
