"""What each view of a list is made from: the owner's from everything, the shared one's from little.

The two halves of this module never call one another.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ondevice import clock
from ondevice.domain import Kind, Verdict
from ondevice.service import bridge
from ondevice.service.private import released_profile
from ondevice.service.session import Session
from ondevice.service.streams import open_streams, past_of

if TYPE_CHECKING:
    from ondevice.formats.catalogue import Catalogue
    from ondevice.formats.space import Space
    from ondevice.profile.base import Base
    from ondevice.profile.cross_domain import Abroad
    from ondevice.profile.exact import History
    from ondevice.profile.owner_view import Owner
    from ondevice.profile.pipeline import Order, Wish
    from ondevice.profile.shared_view import Shared
    from ondevice.ranking.picks import Pick
    from ondevice.ranking.rules import Rule
    from ondevice.ranking.score import F64
    from ondevice.store import PastStep
    from ondevice.store.emitted import ShownList

KEPT = 400  # places behind the pages shown that the next list holds on to
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
class OwnerInputs:
    """The owner's view of one catalogue, ready to be listed or explained."""

    owner: "Owner"
    steps: int
    said: tuple[tuple[str, str], ...]  # standing verdicts: (item, verdict), oldest first
    exact: bool
    muted: int


# --- the owner's ---------------------------------------------------------------------------------


def owner_inputs(
    session: Session, catalogue: "Catalogue", *, exact: bool | None = None
) -> OwnerInputs:
    """Gather everything for the owner's list of `catalogue`.

    Args:
        session: whose.
        catalogue: which.
        exact: from raw history; None: as configured.
    """
    from ondevice.profile.base import FromRelease
    from ondevice.profile.explain import Past
    from ondevice.profile.owner_view import Owner

    raw = session.config.exact if exact is None else exact
    profile = released_profile(session, catalogue.space)
    base: Base
    if raw:
        from ondevice.profile.exact import exact_base

        base = exact_base(raw_history(session, catalogue)[0], catalogue)
    else:
        from ondevice.profile.cross_domain import evidence

        past, forgotten = _past(session, catalogue.space)
        others = _abroad(session, catalogue)
        base = FromRelease(
            profile=profile,
            catalogue=catalogue,
            past=Past.of(profile, past.steps, past.older),
            more=evidence(profile, catalogue.space, others) if others else (),
            forgotten=forgotten,
        )
    verdicts = (
        session.store.feedback.standing(catalogue.manifest.catalogue) if session.has_store else {}
    )
    standing = {item: said for item, said in verdicts.items() if catalogue.records.has(item)}
    muted = muted_rules(session)
    owner = Owner(
        base=base,
        catalogue=catalogue,
        wish=wish_of(session, muted),
        seen=_seen(session, catalogue),
        overlay=tuple((catalogue.records.row(item), said) for item, said in standing.items()),
        picks=_owner_picks(session, catalogue),
        steps=profile.steps,
    )
    return OwnerInputs(
        owner=owner,
        steps=profile.steps,
        said=tuple((item, said.value) for item, said in standing.items()),
        exact=raw,
        muted=len(muted),
    )


def new_verdicts(
    catalogue: "Catalogue", inputs: OwnerInputs, shown: "ShownList | None"
) -> list[tuple[int, Verdict]]:
    """Return the verdicts that were said since `shown`."""
    before = set(shown.said) if shown else set()
    return [
        (catalogue.records.row(item), Verdict(said))
        for item, said in inputs.said
        if (item, said) not in before
    ]


def muted_rules(session: Session) -> "tuple[Rule, ...]":
    """Return what the owner muted."""
    if not session.has_store:
        return ()
    from ondevice.ranking.rules import Rule

    return tuple(
        Rule(field=wish.field, value=wish.name) for wish in session.store.wishes.standing("mute")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    steps: "tuple[PastStep, ...]" = ()
    older: "F64 | None" = None  # decayed sum of all before, in grid units


def _past(session: Session, space: "Space") -> "tuple[_Past, bool]":
    past = past_of(session, space) if session.has_store else None
    if past is None:
        return _Past(), False
    told = _Past(
        steps=_named(session, past.individual), older=past.older if past.older_count else None
    )
    return told, bool(past.forgotten)


def _seen(session: Session, catalogue: "Catalogue") -> frozenset[int]:
    if not session.has_store:
        return frozenset()
    return rows_of(catalogue, session.store.seen(catalogue.manifest.catalogue))


def _named(session: Session, steps: "Sequence[PastStep]") -> "tuple[PastStep, ...]":
    """Say of each step what it was, in words that its owner knows."""
    titles = _Titles(session)
    picked = _pick_ids(session)
    return tuple(
        replace(
            step,
            label=titles.deed(
                step.kind, step.item, step.catalogue, step.label, picked=step.behaviour in picked
            ),
        )
        for step in steps
    )


class _Titles:
    """Words for deeds; each catalogue is looked up once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._here = {one.id for one in session.installed()}

    def deed(
        self, kind: Kind, item: str | None, catalogue: str | None, text: str, *, picked: bool
    ) -> str:
        if picked:
            return f"you picked “{text}”"
        if item is not None and catalogue in self._here:
            records = self._session.catalogue(catalogue or "").records
            text = records[records.row(item)].title if records.has(item) else text
        return f"{DEED[kind]} “{text}”"


def _pick_ids(session: Session) -> set[int | None]:
    return {wish.behaviour for wish in session.store.wishes.standing("pick")} - {None}


def _owner_picks(session: Session, catalogue: "Catalogue") -> "list[Pick]":
    public = public_picks(session, catalogue)
    if not session.has_store:
        return public
    names = [wish.name for wish in session.store.wishes.standing("pick")]
    return [*public, *_as_picks(session, catalogue, names)]


def raw_history(
    session: Session, catalogue: "Catalogue"
) -> "tuple[History, tuple[int | None, ...]]":
    """Return the newest deeds whose vectors are known in the catalogue's space, newest first.

    Their weights are those of their kinds, without age. With each comes the row of the item that
    it was about, None where it is not of this catalogue.
    """
    import numpy as np

    from ondevice.profile import exact

    space, titles, name = catalogue.space, _Titles(session), catalogue.manifest.catalogue
    here = {one.id for one in session.installed()}
    labels, vectors, kinds, rows = [], [], [], []
    if session.has_store:
        behaviours = session.store.behaviours
        recorded, encoded = behaviours.vectors()
        texts = {
            one.id: vector
            for one, vector in zip(recorded, encoded, strict=True)
            if encoded.shape[1] == space.projection.shape[1]
        }
        picked = _pick_ids(session)
        for one in behaviours.recent(2 * exact.NEWEST):
            vector, row = None, None
            if one.id in texts:
                vector = space.project(texts[one.id][None])[0]
            elif one.item is not None and one.catalogue in here:
                home = session.catalogue(one.catalogue or "")
                if home.space.digest == space.digest and home.records.has(one.item):
                    at = home.records.row(one.item)
                    vector, row = home.unit([at])[0], at if one.catalogue == name else None
            if vector is None:
                continue
            labels.append(
                titles.deed(one.kind, one.item, one.catalogue, one.text, picked=one.id in picked)
            )
            vectors.append(vector.astype(np.float64))
            kinds.append(session.config.weights[one.kind])
            rows.append(row)
    made = exact.History(
        labels=tuple(labels),
        vectors=np.array(vectors).reshape(len(vectors), space.dimension),
        weights=np.array(kinds, dtype=np.float64),
    )
    return made, tuple(rows)


def _abroad(session: Session, catalogue: "Catalogue") -> "list[Abroad]":
    """Profiles of the other spaces in which something was released."""
    from ondevice.profile.cross_domain import Abroad
    from ondevice.profile.explain import Past

    if not session.has_store:
        return []
    used = {stream.space for stream in open_streams(session)} - {catalogue.space.digest}
    if not used:
        return []
    carried = bridge.predecessor(session, catalogue.space)
    if carried is not None:  # it goes on in the profile of this space already
        used.discard(carried[0].space)
    spaces = {space.digest: space for space in bridge.spaces(session)}
    found = []
    for digest in sorted(used & spaces.keys()):
        profile = released_profile(session, spaces[digest])
        told, _ = _past(session, spaces[digest])
        past = Past.of(profile, told.steps, told.older)
        found.append(Abroad(space=spaces[digest], profile=profile, past=past))
    return found


# --- the shared view's ---------------------------------------------------------------------------


def shared_inputs(session: Session, catalogue: "Catalogue") -> "Shared":
    """Gather what the shared list may know: the release, the bundle, the configuration."""
    from ondevice.profile.shared_view import Shared

    emitted: set[str] = set()
    if session.has_store:
        emitted = session.store.emitted.items(catalogue.manifest.catalogue)
    return Shared(
        released=released_profile(session, catalogue.space),
        catalogue=catalogue,
        wish=wish_of(session),
        picks=public_picks(session, catalogue),
        emitted=rows_of(catalogue, emitted),
    )


# --- for both ------------------------------------------------------------------------------------


def wish_of(session: Session, muted: "Sequence[Rule]" = ()) -> "Wish":
    """How this home wants its lists; without what is `muted` it is public configuration."""
    from ondevice.profile.pipeline import Wish
    from ondevice.ranking.rules import Rules

    ranking = session.config.ranking
    return Wish.of(ranking, today=clock.now().date(), rules=Rules.of(ranking, muted))


def public_picks(session: Session, catalogue: "Catalogue") -> "list[Pick]":
    """Return the interests that the configuration names."""
    return _as_picks(session, catalogue, session.config.ranking.interests)


def rows_of(catalogue: "Catalogue", items: set[str]) -> frozenset[int]:
    """Return the rows of those `items` that the catalogue still has."""
    records = catalogue.records
    return frozenset(records.row(item) for item in items if records.has(item))


def order_of(catalogue: "Catalogue", shown: "ShownList | None", made: str) -> "Order":
    """Return what `shown` means for today's catalogue; nothing, if it was made in another way."""
    from ondevice.profile.pipeline import NOTHING, Order

    if shown is None or shown.made != made:
        return NOTHING
    records = catalogue.records
    kept = [
        (records.row(item), score)
        for item, score in zip(shown.items, shown.scores, strict=True)
        if records.has(item)
    ]
    gone = sum(not records.has(item) for item in shown.items[: shown.pages])
    return Order(
        rows=tuple(row for row, _ in kept),
        scores=tuple(score for _, score in kept),
        pages=shown.pages - gone,
    )


def shown_of(
    catalogue: "Catalogue", order: "Order", made: str, said: tuple[tuple[str, str], ...] = ()
) -> "ShownList":
    """Return `order` as it is kept for the next list."""
    kept = order.pages + KEPT
    ids = catalogue.records.ids
    from ondevice.store.emitted import ShownList

    return ShownList(
        made=made,
        items=tuple(ids[row] for row in order.rows[:kept]),
        scores=order.scores[:kept],
        pages=order.pages,
        said=said,
    )


def made_of(session: Session, catalogue: "Catalogue", *words: object) -> str:
    """Return a short name of everything but the profile that decides about a list."""
    what = repr((catalogue.space.digest, session.config.ranking, words))
    return hashlib.sha256(what.encode()).hexdigest()[:32]


def _as_picks(session: Session, catalogue: "Catalogue", names: Sequence[str]) -> "list[Pick]":
    import numpy as np

    from ondevice.ranking.picks import Pick

    if not names:
        return []
    vectors = session.embed(catalogue.space, list(names))[1].astype(np.float64)
    return [Pick(label=name, vector=v) for name, v in zip(names, vectors, strict=True) if v.any()]
