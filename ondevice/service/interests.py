"""What the owner picked and muted, and what the released profile leans to.

A pick and a mute are the owner's statements, so they act on the owner's view at once and exactly.
The shared view learns of a pick as it learns of everything: as a step of the stream. It never
learns of a mute; what nobody in the house shall see is a rule of the configuration.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ondevice import clock
from ondevice.config import RULE_FIELDS
from ondevice.domain import Behaviour, Kind
from ondevice.errors import ConfigError, NotReadyError
from ondevice.service import words
from ondevice.service.behave import catalogue_of, record_one
from ondevice.service.private import Topic
from ondevice.service.private import profile as released_topics
from ondevice.service.session import Session

SOURCE = "interests"
LONGEST = 200  # characters of a topic
MOST = 50  # picks that stand


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted:
    """One thing that the owner does not want to see."""

    field: str
    name: str

    def __str__(self) -> str:
        return f"{self.field}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interests:
    """Everything that a list starts from, beside what was done."""

    catalogue: str
    picked: tuple[str, ...]
    public: tuple[str, ...]  # of the configuration
    muted: tuple[Muted, ...]
    topics: tuple[Topic, ...]  # to pick from, with how far the release leans to them
    steps: int
    quality: str  # what a list is worth after so many, in words
    promise: tuple[str, ...]  # what others can't and can know of it

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            **asdict(self),
            "muted": [asdict(one) for one in self.muted],
            "topics": [asdict(one) for one in self.topics],
            "promise": list(self.promise),
        }

    def sentences(self) -> list[str]:
        """What is behind it, for people."""
        return [self.quality, *self.promise, words.PICKS]


def interests(session: Session, *, catalogue: str | None = None) -> Interests:
    """Read what stands."""
    shown = released_topics(session, catalogue=catalogue)
    return Interests(
        catalogue=shown.catalogue,
        picked=tuple(_picked(session)),
        public=session.config.ranking.interests,
        muted=tuple(_muted(session)),
        topics=shown.topics,
        steps=shown.steps,
        quality=shown.quality,
        promise=shown.promise,
    )


def pick(session: Session, topics: Sequence[str], *, catalogue: str | None = None) -> list[str]:
    """Start from `topics`: categories, or any words. Returns those that were not picked before.

    Each is recorded as a behaviour too, in the space of `catalogue` (the default one for None), so
    that the private profile learns it, and counts less and less as the profile learns more.

    Raises:
        ConfigError: an empty or huge topic, or too many.
    """
    names = [" ".join(topic.split()) for topic in topics]
    if not all(names) or any(len(name) > LONGEST for name in names):
        raise ConfigError(
            f"a topic has 1 to {LONGEST} characters", hint="pick a few words, like “space opera”"
        )
    known = set(_picked(session))
    new = [name for name in dict.fromkeys(names) if name not in known]
    if len(known) + len(new) > MOST:
        raise ConfigError(
            f"{MOST} interests can stand at once", hint="drop some: ondevice-rec interests drop"
        )
    chosen = session.pick(catalogue)
    for name in new:
        now = clock.now()
        behaviour = record_one(
            session,
            Behaviour(
                text=name,
                kind=Kind.LIKE,
                at=now,
                catalogue=chosen.manifest.catalogue,
                source=SOURCE,
            ),
        )
        session.store.wishes.add("pick", "topic", name, at=now, behaviour=behaviour)
    return new


def drop(session: Session, topics: Sequence[str]) -> list[str]:
    """Take picks back: they leave the list at once, and their steps leave the band.

    Raises:
        NotReadyError: one of them was never picked.
    """
    known = set(_picked(session))
    missing = [topic for topic in topics if topic not in known]
    if missing:
        raise NotReadyError(
            f"“{missing[0]}” is not among your interests", hint="see them: ondevice-rec interests"
        )
    for topic in dict.fromkeys(topics):
        ended = session.store.wishes.end("pick", "topic", topic, at=clock.now())
        if ended is not None and ended.behaviour is not None:
            session.store.behaviours.withdraw(ended.behaviour)
    return list(dict.fromkeys(topics))


def mute(
    session: Session,
    name: str,
    *,
    field: str | None = None,
    catalogue: str | None = None,
) -> Muted:
    """Keep a category, tag, source or series off the owner's lists until it is unmuted.

    Args:
        session: whose.
        name: its name, "FIELD:NAME", or the id of an item: then its `field` is meant.
        field: "category", "tag", "source" or "series"; by default a category.
        catalogue: of the item.

    Raises:
        ConfigError: no such field, or the item has none.
    """
    muted = _meant(session, name, field, catalogue)
    if not session.store.wishes.add("mute", muted.field, muted.name, at=clock.now()):
        raise ConfigError(f"{muted} is muted already", hint="see: ondevice-rec interests")
    return muted


def unmute(session: Session, name: str, *, field: str | None = None) -> Muted:
    """Show again what was muted.

    Raises:
        NotReadyError: it was not.
    """
    wanted = name.partition(":") if field is None and ":" in name else None
    for one in _muted(session):
        same = (
            (one.field, one.name) == (wanted[0], wanted[2])
            if wanted
            else one.name == name and field in {None, one.field}
        )
        if same and session.store.wishes.end("mute", one.field, one.name, at=clock.now()):
            return one
    raise NotReadyError(f"“{name}” is not muted", hint="see what is: ondevice-rec interests")


def _meant(session: Session, name: str, field: str | None, catalogue: str | None) -> Muted:
    from ondevice.ranking.traits import series_of, source_of

    fields = tuple(one for one in RULE_FIELDS if one not in {"id", "title"})
    before, mark, after = name.partition(":")
    if field is None and mark and before in fields:
        field, name = before, after
    if field is not None and field not in fields:
        raise ConfigError(f"there is no field '{field}'", hint=f"fields: {', '.join(fields)}")
    try:
        where = catalogue_of(session, name, catalogue)
    except NotReadyError:
        where = ""
    if where:
        records = session.catalogue(where).records
        item = records[records.row(name)]
        found = {
            "category": item.category,
            "tag": item.tags[0] if item.tags else "",
            "source": source_of(item),
            "series": series_of(item),
        }[field or "category"]
        if not found:
            raise ConfigError(f"“{item.title}” has no {field or 'category'}", hint="mute another")
        name = found
    if not name.strip():
        raise ConfigError("name what to mute", hint="ondevice-rec interests mute “news”")
    return Muted(field=field or "category", name=name.strip())


def _picked(session: Session) -> list[str]:
    if not session.has_store:
        return []
    return [wish.name for wish in session.store.wishes.standing("pick")]


def _muted(session: Session) -> list[Muted]:
    if not session.has_store:
        return []
    return [
        Muted(field=wish.field, name=wish.name) for wish in session.store.wishes.standing("mute")
    ]
