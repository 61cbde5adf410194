"""What the owner says of items: acts on the next list at once, and enters the stream as a step."""

from dataclasses import asdict, dataclass
from typing import Any

from ondevice import clock
from ondevice.domain import DWELL_COUNTS, Behaviour, Kind, Verdict
from ondevice.service.behave import catalogue_of, record_one
from ondevice.service.session import Session

KINDS = {Verdict.LIKE: Kind.LIKE, Verdict.LESS: Kind.DISLIKE, Verdict.OPEN: Kind.VIEW}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One verdict as a person sees it."""

    catalogue: str
    item: str
    title: str
    verdict: str
    at: str
    in_force: bool
    undone: str = ""  # by an undo: the verdict that was taken back

    @property
    def state(self) -> str:
        """The verdict in a few words."""
        if self.undone:
            return f"took back {self.undone}"
        return self.verdict if self.in_force else f"{self.verdict} (taken back)"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def give(
    session: Session,
    item: str,
    verdict: str,
    *,
    catalogue: str | None = None,
    seconds: float | None = None,
) -> Said:
    """Record a verdict ("like", "less", "hide", "open", "dwell"), or "undo" the newest one.

    Raises:
        NotReadyError: no such item, or nothing to undo.
    """
    name = catalogue_of(session, item, catalogue)
    found = session.catalogue(name).records
    title = found[found.row(item)].title
    now = clock.now()
    taken_back = ""
    if verdict == "undo":
        undone = session.store.feedback.undo(name, item, at=now)
        taken_back = undone.verdict.value
        if undone.behaviour is not None:
            session.store.behaviours.withdraw(undone.behaviour)
    else:
        what = Verdict(verdict)
        kind = KINDS.get(what)
        if what is Verdict.DWELL and (seconds or 0.0) >= DWELL_COUNTS:
            kind = Kind.VIEW
        step = None
        if kind is not None:
            step = record_one(
                session,
                Behaviour(
                    text=title, kind=kind, at=now, item=item, catalogue=name, source="feedback"
                ),
            )
        session.store.feedback.add(name, item, what, at=now, seconds=seconds, behaviour=step)
    return Said(
        catalogue=name,
        item=item,
        title=title,
        verdict=verdict,
        at=now.isoformat(),
        in_force=not taken_back,
        undone=taken_back,
    )


def listed(session: Session) -> list[Said]:
    """Everything that was said, newest first; what was taken back says so."""
    if not session.has_store:
        return []
    return [
        Said(
            catalogue=event.catalogue,
            item=event.item,
            title=_title(session, event.catalogue, event.item),
            verdict=event.verdict.value,
            at=event.at.isoformat(),
            in_force=not event.undone,
        )
        for event in session.store.feedback.log()
    ]


def _title(session: Session, catalogue: str, item: str) -> str:
    if not any(one.id == catalogue for one in session.installed()):
        return item
    records = session.catalogue(catalogue).records
    return records[records.row(item)].title if records.has(item) else item
