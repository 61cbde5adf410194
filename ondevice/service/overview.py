"""What a front end shows above everything else: whose data, which guarantee, which catalogues."""

from dataclasses import dataclass

from ondevice.service.catalogues import Entry, listed
from ondevice.service.private import privacy_of
from ondevice.service.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The top strip and the catalogues to switch between."""

    strip: str
    behaviours: int
    catalogues: tuple[Entry, ...]


def overview(session: Session) -> Overview:
    """Count what is recorded and say what protects it."""
    count = session.store.behaviours.count() if session.has_store else 0
    whose = ("sample behaviour" if session.sample else "behaviour") + ("s" if count != 1 else "")
    privacy = privacy_of(session)
    parts = [
        f"{count} {whose}",
        f"epsilon {privacy.epsilon:g} per {privacy.unit}, for life",
        f"{session.bytes_sent} bytes sent",
    ]
    if session.sample:
        parts.append("x: start with my own")
    elif not count:
        parts.append("a: add the first one")
    return Overview(strip=" · ".join(parts), behaviours=count, catalogues=tuple(listed(session)))
