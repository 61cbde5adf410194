"""Rank, search, explain: the owner's view from everything, the shared view from the release."""

from dataclasses import replace
from typing import TYPE_CHECKING

from ondevice import clock
from ondevice.domain import Recommendation
from ondevice.errors import ConfigError
from ondevice.service import inputs
from ondevice.service.answers import Compared, Found, Shown, Why
from ondevice.service.behave import catalogue_of
from ondevice.service.private import privacy_of
from ondevice.service.session import Session

if TYPE_CHECKING:
    from ondevice.formats.catalogue import Catalogue
    from ondevice.profile.owner_view import Owner
    from ondevice.profile.pipeline import Listing
    from ondevice.profile.shared_view import Shared
    from ondevice.service.inputs import OwnerInputs
    from ondevice.store.emitted import ShownList

LEARNING = 20  # behaviours below which the list says that it is still learning
EXACT = "exact: from your raw history, without noise; for your eyes only"
VIEWS = ("owner", "shared")


def recommend(
    session: Session,
    *,
    catalogue: str | None = None,
    limit: int = 10,
    page: int = 1,
    view: str = "owner",
    exact: bool | None = None,
    remember: bool = True,
) -> Shown:
    """Return one page of a catalogue's list, and remember what was shown.

    Pages that are asked for one after the other never repeat an item, also when the profile moved
    in between: a page begins behind what the pages before it have shown. Page 1 begins anew.

    Args:
        session: whose list.
        catalogue: its id; None for the one with most behaviours. How many there are in which is
            nobody else's business, so the shared view takes the first one.
        limit: items on a page.
        page: from 1; the shared view has no pages: it never repeats itself.
        view: "owner" or "shared".
        exact: rank the owner's view by raw history; None: as configured.
        remember: whether the owner's list counts as shown; a look at the other kind does not.

    Raises:
        NotReadyError: no such catalogue.
        ConfigError: another view, a page of the shared one, or an exact one of it.
    """
    _check(view, page, exact)
    chosen = session.pick(catalogue, public=view == "shared")
    notes = []
    if view == "owner":
        made = inputs.owner_inputs(session, chosen, exact=exact)
        items = _owner(session, chosen, made, limit, page, remember=remember)
        steps, raw = made.steps, made.exact
        notes += [EXACT] if raw else []
        if made.muted:
            notes.append(f"{made.muted} muted: see ondevice-rec interests")
    else:
        shared = inputs.shared_inputs(session, chosen)
        items = _shared(session, chosen, shared, limit)
        steps, raw = shared.released.steps, False
    if steps < LEARNING and not raw:
        notes.insert(0, f"still learning, {steps} of about {LEARNING}")
    return Shown(
        view=view,
        catalogue=chosen.manifest.catalogue,
        title=chosen.manifest.title,
        items=tuple(items),
        privacy=privacy_of(session),
        steps=steps,
        notes=tuple(notes),
        exact=raw,
    )


def compare(session: Session, *, catalogue: str | None = None, limit: int = 10) -> Compared:
    """Return the owner's list as the private profile and as raw history make it, side by side.

    Nothing is remembered: neither list counts as shown.
    """
    chosen = session.pick(catalogue)
    lists = []
    for exact in (False, True):
        owner = inputs.owner_inputs(session, chosen, exact=exact).owner
        lists.append(_as_items(chosen, owner, owner.listing(limit=limit), 1))
    return Compared(
        catalogue=chosen.manifest.catalogue,
        private=tuple(lists[0]),
        exact=tuple(lists[1]),
        privacy=privacy_of(session),
    )


def _check(view: str, page: int, exact: bool | None) -> None:  # noqa: FBT001  # not a flag
    if view not in VIEWS:
        raise ConfigError(f"there is no view '{view}'", hint=f"views: {', '.join(VIEWS)}")
    if view == "shared" and page != 1:
        raise ConfigError(
            "the shared view has no pages", hint="ask again: it goes on where it stopped"
        )
    if view == "shared" and exact:
        raise ConfigError(
            "the shared view is never exact: it would show what the noise hides",
            hint="leave --exact out, or ask for --view owner",
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


def why(
    session: Session,
    item: str,
    *,
    catalogue: str | None = None,
    view: str = "owner",
    exact: bool | None = None,
) -> Why:
    """Take the score of `item` apart, and say where it stands and what keeps it off the list.

    The shares sum to the score. The owner's answer is for the owner's eyes only; that of the
    shared view knows the release and nothing else.

    Raises:
        NotReadyError: no such item.
        ConfigError: another view.
    """
    _check(view, 1, exact)
    chosen = session.catalogue(catalogue_of(session, item, catalogue))
    row = chosen.records.row(item)
    place: int | None = None
    reasons: tuple[str, ...] = ()
    if view == "shared":
        shared = inputs.shared_inputs(session, chosen)
        parts, raw = shared.explain(row), False
    else:
        from ondevice.service.standing import standing

        made = inputs.owner_inputs(session, chosen, exact=exact)
        parts, raw = made.owner.explain(row), made.exact
        last = inputs.order_of(
            chosen, _last_shown(session, chosen), inputs.made_of(session, chosen, raw)
        )
        place, reasons = standing(made.owner, chosen, row, last)
    return Why(
        catalogue=chosen.manifest.catalogue,
        item=chosen.records[row],
        score=sum(part.share for part in parts),
        parts=tuple(parts),
        view=view,
        exact=raw,
        place=place,
        reasons=reasons,
    )


def _owner(
    session: Session,
    catalogue: "Catalogue",
    made: "OwnerInputs",
    limit: int,
    page: int,
    *,
    remember: bool,
) -> list[Recommendation]:
    name, how = catalogue.manifest.catalogue, inputs.made_of(session, catalogue, made.exact)
    shown = _last_shown(session, catalogue)
    listing = made.owner.listing(
        limit=limit,
        page=page,
        last=inputs.order_of(catalogue, shown, how),
        new=inputs.new_verdicts(catalogue, made, shown),
    )
    after = inputs.shown_of(catalogue, listing.order, how, made.said)
    if remember and session.has_store and after != shown:
        session.store.shown.put(name, after)
    return _as_items(catalogue, made.owner, listing, limit * (page - 1) + 1)


def _as_items(
    catalogue: "Catalogue", owner: "Owner", listing: "Listing", first: int
) -> list[Recommendation]:
    return [
        Recommendation(
            rank=place,
            item=catalogue.records[one.row],
            score=one.score,
            because=owner.because(one.row, found=one.found).line,
        )
        for place, one in enumerate(listing.page, start=first)
    ]


def _shared(
    session: Session, catalogue: "Catalogue", shared: "Shared", limit: int
) -> list[Recommendation]:
    name, how = catalogue.manifest.catalogue, inputs.made_of(session, catalogue)
    emitted = session.store.emitted
    last = inputs.order_of(catalogue, emitted.order.get(name), how)
    listing = shared.listing(limit=limit, last=replace(last, pages=0))
    items = [
        Recommendation(rank=place, item=catalogue.records[one.row], score=one.score)
        for place, one in enumerate(listing.page, start=1)
    ]
    with session.store.transaction():
        emitted.add(name, [one.item.id for one in items], at=clock.now())
        emitted.order.put(name, inputs.shown_of(catalogue, listing.order, how))
    return items


def _last_shown(session: Session, catalogue: "Catalogue") -> "ShownList | None":
    return session.store.shown.get(catalogue.manifest.catalogue) if session.has_store else None
