"""The private profile: its streams, what was released, what the guarantee means in words."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ondevice.domain import Privacy
from ondevice.service.session import Session
from ondevice.service.streams import said_in

if TYPE_CHECKING:
    from ondevice.formats.space import Space
    from ondevice.profile.release import Profile
    from ondevice.store import Stream

MECHANISM = "continual release by a banded square root, discrete Gaussian noise, zCDP"
MEAN_WEIGHT = 0.6  # of a typical behaviour; public, never fitted on this device
TOPICS = 12


def released_profile(session: Session, space: "Space") -> "Profile":
    """Decode what was released in `space`; before the first row it is the typical profile."""
    from ondevice.profile.activity import mean_weight
    from ondevice.profile.release import profile

    stream, decoded = said_in(session, space)
    paced = stream is not None and stream.clock is not None
    weight = mean_weight(decoded, space) if paced else MEAN_WEIGHT
    return profile(decoded, space, weight_mean=weight)


def privacy_of(session: Session) -> Privacy:
    """The guarantee behind every list of this home: the cap, or what was released above it."""
    epsilon, unit = _kept(session)
    return Privacy(epsilon=epsilon, delta=session.config.delta, unit=unit, mechanism=MECHANISM)


def _kept(session: Session) -> tuple[float, str]:
    """The epsilon and the unit that hold: a cap that was lowered later takes nothing back."""
    config = session.config
    units = {stream.unit for stream in _streams(session)}
    unit = config.unit if not units else "day" if units == {"day"} else "behaviour"
    return max(config.epsilon, _spent(session)), unit


def _spent(session: Session) -> float:
    """The epsilon that the unit which paid most was charged; 0 before the first stream."""
    from ondevice.privacy.accountant import epsilon_of

    if not _streams(session):
        return 0.0
    return round(epsilon_of(session.store.ledger.spent(), session.config.delta), 9)


def _streams(session: Session) -> "list[Stream]":
    return session.store.ledger.streams() if session.has_store else []


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamShown:
    """One stream of the ledger."""

    space: str  # digest
    name: str
    opened: str
    rows: int
    epsilon: float
    rho: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the guarantee is, and what it has cost: a constant, whatever the number of rows."""

    epsilon: float  # of the unit that is charged most; 0 before the first
    epsilon_cap: float
    epsilon_odds: float
    delta: float
    unit: str
    streams: tuple[StreamShown, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "streams": [asdict(s) for s in self.streams]}

    def sentences(self) -> list[str]:
        """The guarantee in words."""
        sure = 100 * self.epsilon_odds / (1 + self.epsilon_odds)
        digits = max(1, math.ceil(math.log10(1 + self.epsilon_odds)) - 1)
        return [
            f"epsilon {self.epsilon:g} of {self.epsilon_cap:g} per {self.unit}, for life, "
            f"except with probability {self.delta:g}.",
            f"Compared with a world in which one {self.unit} had not been recorded, whoever sees "
            f"everything you share, for ever, can be at most {self.epsilon_odds:.0f} times surer "
            f"about it: an even guess becomes {sure:.{digits}f}% at most.",
            "Not hidden: that something was recorded, and when your list moved. "
            "More behaviours cost nothing more.",
        ]


def budget(session: Session) -> Budget:
    """Read the ledger and say what it means."""
    from ondevice.privacy.accountant import odds, rho_of

    config = session.config
    epsilon, unit = _kept(session)
    shown = tuple(_stream_shown(session, stream) for stream in _streams(session))
    return Budget(
        epsilon=_spent(session),
        epsilon_cap=config.epsilon,
        epsilon_odds=odds(rho_of(epsilon, config.delta), config.delta),
        delta=config.delta,
        unit=unit,
        streams=shown,
    )


def _stream_shown(session: Session, stream: "Stream") -> StreamShown:
    from ondevice.privacy.accountant import epsilon_of

    base = session.base_space
    return StreamShown(
        space=stream.space,
        name=base.name if stream.space == base.digest else "a publisher's space",
        opened=stream.opened.isoformat(),
        rows=session.store.releases.count(stream),
        epsilon=epsilon_of(stream.parameters.rho, stream.parameters.delta),
        rho=stream.parameters.rho,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """How far the released profile leans to a category, in score units."""

    name: str
    lean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileShown:
    """The released profile in words."""

    catalogue: str
    steps: int
    remembered: float  # sum of what the steps still weigh
    noise_std: float  # per coordinate of the decayed sum, in units of one behaviour
    topics: tuple[Topic, ...]
    waiting: int  # behaviours that enter the profile at the next public time

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "topics": [asdict(t) for t in self.topics]}

    def sentences(self) -> list[str]:
        """What there is, for people."""
        lines = [
            f"{self.steps} steps, of which the profile remembers about {self.remembered:.0f}",
            f"noise: {self.noise_std:.2f} per coordinate, in behaviours",
        ]
        if self.waiting:
            lines.append(f"{self.waiting} more enter it when their interval ends")
        return lines


def profile(session: Session, *, catalogue: str | None = None) -> ProfileShown:
    """Say which topics of a catalogue the released profile leans to."""
    import numpy as np

    chosen = session.pick(catalogue)
    released = released_profile(session, chosen.space)
    lean = chosen.unit() @ released.u * chosen.space.temperature
    by_topic: dict[str, list[float]] = {}
    for row, share in enumerate(lean.tolist()):
        by_topic.setdefault(chosen.records[row].category or "other", []).append(share)
    overall = float(np.mean(lean)) if len(lean) else 0.0
    topics = sorted(
        (Topic(name=n, lean=float(np.mean(v)) - overall) for n, v in by_topic.items()),
        key=lambda topic: -topic.lean,
    )
    stream = session.store.ledger.current(chosen.space.digest) if session.has_store else None
    return ProfileShown(
        catalogue=chosen.manifest.catalogue,
        steps=released.steps,
        remembered=(1 - released.beta**released.steps) / (1 - released.beta),
        noise_std=released.noise_std,
        topics=tuple(topics[:TOPICS]),
        waiting=session.store.behaviours.waiting(stream) if stream else 0,
    )
