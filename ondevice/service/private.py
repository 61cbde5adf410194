"""The private profile: its streams, what was released, what the guarantee means in words."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ondevice.domain import Privacy
from ondevice.service import words
from ondevice.service.session import Session
from ondevice.service.streams import open_streams, said_in

if TYPE_CHECKING:
    from ondevice.formats.space import Space
    from ondevice.profile.expected import Expected
    from ondevice.profile.release import Profile
    from ondevice.store import Stream

MECHANISM = words.MECHANISM
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
    epsilon_of_three: float  # for three units that give the same away
    epsilon_odds_of_three: float
    delta: float
    unit: str
    mechanism: str
    clock: str | None  # the pace of the shared view in words; None: at every behaviour
    streams: tuple[StreamShown, ...]
    behaviours: int  # what the expected quality is for
    expected: "Expected | None"  # at `epsilon`, or at the cap before the first; None: not measured

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "streams": [asdict(s) for s in self.streams]}

    def sentences(self) -> list[str]:
        """The guarantee in words."""
        return [
            words.spent(
                epsilon=self.epsilon, cap=self.epsilon_cap, unit=self.unit, delta=self.delta
            ),
            words.odds(times=self.epsilon_odds, unit=self.unit),
            words.together(
                epsilon=self.epsilon_of_three, times=self.epsilon_odds_of_three, unit=self.unit
            ),
            words.not_hidden(unit=self.unit, pace=self.clock),
            words.constant(self.unit),
            words.MECHANISM_SAID,
            words.THE_OWNER,
            words.quality(
                self.expected,
                epsilon=self.epsilon or self.epsilon_cap,
                behaviours=self.behaviours,
                simulated=True,  # `expected` is read from the space of the samples
            ),
        ]


def budget(session: Session) -> Budget:
    """Read the ledger and say what it means."""
    from ondevice.privacy.accountant import epsilon_of, odds, rho_of
    from ondevice.privacy.cadence import words as pace_in_words
    from ondevice.profile.expected import expected

    config = session.config
    epsilon, unit = _kept(session)
    rho = rho_of(epsilon, config.delta)
    shown = tuple(_stream_shown(session, stream) for stream in _streams(session))
    clocks = [one.clock.period for one in open_streams(session) if one.clock]
    behaviours = session.store.behaviours.count() if session.has_store else 0
    quality = expected(
        session.base_space.quality, epsilon=_spent(session) or config.epsilon, behaviours=behaviours
    )
    return Budget(
        epsilon=_spent(session),
        epsilon_cap=config.epsilon,
        epsilon_odds=odds(rho, config.delta),
        epsilon_of_three=epsilon_of(words.TOGETHER**2 * rho, config.delta),
        epsilon_odds_of_three=odds(words.TOGETHER**2 * rho, config.delta),
        delta=config.delta,
        unit=unit,
        mechanism=words.MECHANISM,
        clock=pace_in_words(clocks[-1]) if clocks else None,
        streams=shown,
        behaviours=behaviours,
        expected=quality,
    )


def promise(session: Session) -> tuple[str, ...]:
    """What whoever sees the shared view can learn of one thing, and what is not hidden."""
    found = budget(session)
    return (
        words.odds(times=found.epsilon_odds, unit=found.unit),
        words.not_hidden(unit=found.unit, pace=found.clock),
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
    clock: str | None  # the pace in words; None: every behaviour is a step
    quality: str  # what the list is worth by the publisher's measurement, in words
    promise: tuple[str, ...]  # what whoever sees the shared view can't and can know

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            **asdict(self),
            "topics": [asdict(t) for t in self.topics],
            "promise": list(self.promise),
        }

    def sentences(self) -> list[str]:
        """What there is, for people."""
        lines = [
            f"{self.steps} steps, of which the profile remembers about {self.remembered:.0f}",
            f"noise: {self.noise_std:.2f} per coordinate, in behaviours",
        ]
        if self.clock:
            lines[0] = f"{self.steps} steps, one every {self.clock}, with or without something new"
        if self.waiting and self.clock:
            lines.append(words.waits(self.waiting, self.clock))
        return [*lines, self.quality, *self.promise]


def profile(session: Session, *, catalogue: str | None = None) -> ProfileShown:
    """Say which topics of a catalogue the released profile leans to."""
    import numpy as np

    from ondevice.privacy.cadence import words as pace_in_words
    from ondevice.profile.expected import expected

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
    epsilon = stream.parameters.epsilon if stream else session.config.epsilon
    done = session.store.behaviours.count() if session.has_store else 0
    quality = expected(chosen.space.quality, epsilon=epsilon, behaviours=done)
    return ProfileShown(
        catalogue=chosen.manifest.catalogue,
        steps=released.steps,
        remembered=(1 - released.beta**released.steps) / (1 - released.beta),
        noise_std=released.noise_std,
        topics=tuple(topics[:TOPICS]),
        waiting=session.store.behaviours.waiting(stream) if stream else 0,
        clock=pace_in_words(stream.clock.period) if stream and stream.clock else None,
        quality=words.quality(
            quality,
            epsilon=epsilon,
            behaviours=done,
            simulated=chosen.space.digest == session.base_space.digest,
        ),
        promise=promise(session),
    )
