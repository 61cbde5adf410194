"""Frozen values that every layer shares. No behaviour beyond what a value knows of itself."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a person did. The weight of each kind is configuration (`Config.weights`)."""

    VIEW = "view"
    LIKE = "like"
    PURCHASE = "purchase"
    SEARCH = "search"
    LISTEN = "listen"
    USE = "use"
    DISLIKE = "dislike"


class Scenario(StrEnum):
    """The five kinds of catalogue."""

    ECOMMERCE = "e-commerce"
    CONTENT = "content"
    SOCIAL = "social"
    SMART_HOME = "smart-home"
    FINANCE = "finance"


class Verdict(StrEnum):
    """What the owner said of one item; acts on the owner's list at once."""

    LIKE = "like"
    LESS = "less"
    HIDE = "hide"
    OPEN = "open"
    DWELL = "dwell"


DWELL_COUNTS = 10.0  # seconds from which looking at an item says something about it
DESCRIPTION_READ = 400  # characters of a description that the encoder reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing a catalogue offers. `id` is unique in its catalogue."""

    id: str
    title: str
    description: str = ""
    category: str = ""
    tags: tuple[str, ...] = ()
    price: float | None = None
    rating: float | None = None  # 0 to 5
    popularity: float | None = None  # count or score, >= 0; only its order matters
    date: str | None = None  # ISO 8601 date
    url: str | None = None

    @property
    def text(self) -> str:
        """What the encoder reads: title, category and tags, start of the description."""
        topics = ", ".join(dict.fromkeys(t for t in (self.category, *self.tags) if t))
        parts = (self.title, topics, self.description[:DESCRIPTION_READ])
        return ". ".join(part.strip().rstrip(".") for part in parts if part.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One logged thing, already cleaned and masked; what a unit of privacy hides."""

    text: str
    kind: Kind
    at: datetime  # aware, UTC
    item: str | None = None
    catalogue: str | None = None
    source: str = "log"
    id: int | None = None  # given by the store


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One additive part of a score, in words a person understands."""

    kind: str  # behaviour | older | prior | noise | popularity | feature | overlay
    label: str
    share: float  # same unit as the score; all shares of an item sum to its score


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One place in a list."""

    rank: int  # from 1
    item: Item
    score: float  # additive score, before diversification
    because: str = ""  # one line for people


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What a list says about the guarantee behind it."""

    epsilon: float
    delta: float
    unit: str  # "behaviour" or "day"
    mechanism: str
