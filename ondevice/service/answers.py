"""What use cases answer with: frozen values, ready to be shown. Imports nothing heavy."""

from dataclasses import dataclass, replace

from ondevice.domain import Item, Part, Privacy, Recommendation

BRIEF = 5  # parts of each kind shown one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One page of a list."""

    view: str  # "owner" or "shared"
    catalogue: str
    title: str
    items: tuple[Recommendation, ...]
    privacy: Privacy
    steps: int  # behaviours that the profile has taken in
    notes: tuple[str, ...] = ()
    exact: bool = False  # from raw history, without noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One list with the noise and without it."""

    catalogue: str
    private: tuple[Recommendation, ...]
    exact: tuple[Recommendation, ...]
    privacy: Privacy

    @property
    def shared(self) -> int:
        """How many items both lists have."""
        return len({one.item.id for one in self.private} & {one.item.id for one in self.exact})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found."""

    catalogue: str
    items: tuple[Recommendation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """An item's score and its additive parts, which sum to it."""

    catalogue: str
    item: Item
    score: float
    parts: tuple[Part, ...]
    view: str = "owner"
    exact: bool = False  # from raw history, without noise
    place: int | None = None  # in the owner's list, from 1; None: not in it
    reasons: tuple[str, ...] = ()  # what keeps it off the first page

    def brief(self, limit: int = BRIEF) -> tuple[Part, ...]:
        """The largest `limit` behaviours one by one, the others as one part; the sum stays."""
        told = [part for part in self.parts if part.kind == "behaviour"]
        rest = [part for part in self.parts if part.kind != "behaviour" and part.share]
        told.sort(key=lambda part: -abs(part.share))
        head, tail = told[:limit], told[limit:]
        if tail:
            total = sum(part.share for part in tail)
            head.append(replace(tail[0], label=f"{len(tail)} other things you did", share=total))
        return (*head, *sorted(rest, key=lambda part: -abs(part.share)))
