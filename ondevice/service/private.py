"""The private profile: its streams, what was released, what the guarantee means in words."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ondevice import clock
from ondevice.domain import Privacy
from ondevice.errors import BudgetExhaustedError, ConfigError
from ondevice.service.session import Session

if TYPE_CHECKING:
    from ondevice.formats.space import Space
    from ondevice.privacy.stream import StreamParameters
    from ondevice.profile.release import Profile
    from ondevice.store import Stream

MECHANISM = "continual release by a banded square root, discrete Gaussian noise, zCDP"
MEAN_WEIGHT = 0.6  # of a typical behaviour; public, never fitted on this device
TOPICS = 12


def parameters_of(session: Session, space: "Space") -> "StreamParameters":
    """The mechanism that this home's configuration asks for in `space`."""
    from ondevice.privacy.stream import StreamParameters

    return StreamParameters.for_budget(
        session.config.epsilon,
        session.config.delta,
        space.dimension,
        half_life=space.half_life,
    )


def ensure_stream(session: Session, space: "Space") -> "Stream":
    """The open stream of `space`; charged in the ledger before it can have a row.

    A stream is kept as long as the cap allows it: a higher cap does not start the profile anew.

    Raises:
        ConfigError: the unit is a day, which no mechanism here can keep yet.
        BudgetExhaustedError: the cap does not allow it.
    """
    from ondevice.privacy.accountant import SLACK, rho_of

    config = session.config
    if config.unit != "behaviour":
        raise ConfigError(
            f'unit = "{config.unit}" is not ready in this version: nothing was recorded',
            hint=f'set unit = "behaviour" in {session.home.config}',
        )
    ledger = session.store.ledger
    parameters = parameters_of(session, space)
    current = ledger.current(space.digest)
    if current is not None and _differ_in_budget_only(current.parameters, parameters):
        parameters = current.parameters
        if parameters.rho > rho_of(config.epsilon, config.delta) * (1 + SLACK):
            raise BudgetExhaustedError(
                f"this profile was opened at epsilon {parameters.epsilon:g}, delta "
                f"{parameters.delta:g}; the cap is now epsilon {config.epsilon:g}, delta "
                f"{config.delta:g}: nothing was recorded",
                hint=f"set epsilon = {parameters.epsilon:g} and delta = {parameters.delta:g} in "
                f"{session.home.config} again, or start a new profile in another --home",
            )
    return ledger.ensure_stream(
        space=space.digest,
        unit=config.unit,
        parameters=parameters,
        cap_epsilon=config.epsilon,
        cap_delta=config.delta,
        at=clock.now(),
    )


def _differ_in_budget_only(one: "StreamParameters", other: "StreamParameters") -> bool:
    return (one.dimension, one.half_life, one.band, one.coefficients) == (
        other.dimension,
        other.half_life,
        other.band,
        other.coefficients,
    )


def released_profile(session: Session, space: "Space") -> "Profile":
    """Decode what was released in `space`; before the first row it is the typical profile."""
    from ondevice.privacy import decoder
    from ondevice.profile.release import profile

    stream = session.store.ledger.current(space.digest) if session.has_store else None
    parameters = stream.parameters if stream else parameters_of(session, space)
    blob = session.store.releases.state(stream) if stream else None
    state = (
        decoder.StreamState.from_bytes(parameters, blob)
        if blob is not None
        else decoder.StreamState.start(parameters)
    )
    return profile(decoder.read_out(parameters, state), space, weight_mean=MEAN_WEIGHT)


def privacy_of(session: Session) -> Privacy:
    """The guarantee behind every list of this home: the cap, or what was released above it."""
    epsilon, unit = _kept(session)
    return Privacy(epsilon=epsilon, delta=session.config.delta, unit=unit, mechanism=MECHANISM)


def _kept(session: Session) -> tuple[float, str]:
    """The epsilon and the unit that hold: a cap that was lowered later takes nothing back."""
    config = session.config
    unit = "behaviour" if _streams(session) else config.unit  # no other unit has streams yet
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

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "topics": [asdict(t) for t in self.topics]}


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
    return ProfileShown(
        catalogue=chosen.manifest.catalogue,
        steps=released.steps,
        remembered=(1 - released.beta**released.steps) / (1 - released.beta),
        noise_std=released.noise_std,
        topics=tuple(topics[:TOPICS]),
    )
