"""What is recorded here, as its owner looks through it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondevice.domain import Behaviour, Kind
from ondevice.errors import ConfigError
from ondevice.service.forget import a_day
from ondevice.service.session import Session

if TYPE_CHECKING:
    from ondevice.store.history import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One page of the past, newest first."""

    total: int  # behaviours in all
    matching: int  # of them, those that the filter takes
    last: int  # how many of those come up to the end of this page
    behaviours: tuple[Behaviour, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "total": self.total,
            "matching": self.matching,
            "behaviours": [as_dict(one) for one in self.behaviours],
        }


def as_dict(behaviour: Behaviour) -> dict[str, Any]:
    """The JSON form of one behaviour."""
    return {
        "id": behaviour.id,
        "at": behaviour.at.isoformat(),
        "kind": behaviour.kind.value,
        "text": behaviour.text,
        "item": behaviour.item,
        "catalogue": behaviour.catalogue,
        "source": behaviour.source,
    }


def wanted(
    *,
    day: str | None = None,
    source: str | None = None,
    kind: str | None = None,
    text: str | None = None,
) -> "Filter":
    """Read what a person asked for.

    Raises:
        ConfigError: not a day, or not a kind.
    """
    from ondevice.store.history import Filter

    if kind is not None and kind not in set(Kind):
        raise ConfigError(f"there is no kind '{kind}'", hint=f"kinds: {', '.join(Kind)}")
    return Filter(
        day=a_day(day) if day is not None else None,
        source=source,
        kind=Kind(kind) if kind is not None else None,
        text=text or None,
    )


def history(
    session: Session, limit: int, *, page: int = 1, chosen: "Filter | None" = None
) -> History:
    """Return one page of `limit` behaviours, from page 1, newest first."""
    from ondevice.store.history import Filter

    if not session.has_store:
        return History(total=0, matching=0, last=0, behaviours=())
    past = session.store.history
    behaviours = past.page(chosen or Filter(), limit=limit, offset=limit * (page - 1))
    total = past.count(Filter())
    return History(
        total=total,
        matching=past.count(chosen) if chosen else total,
        last=limit * (page - 1) + len(behaviours),
        behaviours=tuple(behaviours),
    )
