"""The streams behind a profile: opened and charged, stepped when due, read together."""

from dataclasses import replace
from typing import TYPE_CHECKING

from ondevice import clock
from ondevice.errors import BudgetExhaustedError
from ondevice.service import bridge
from ondevice.service.session import Session

if TYPE_CHECKING:
    from ondevice.formats.space import Space
    from ondevice.privacy.cadence import Clock
    from ondevice.privacy.decoder import F64, Decoded
    from ondevice.privacy.stream import StreamParameters
    from ondevice.store import PastSteps, Stream

HUB_PACE = 3600  # seconds: how a hub's shared view steps unless it is told otherwise
FORGOTTEN = 1e-9  # a release that weighs less than this is not carried on


def parameters_of(session: Session, space: "Space") -> "StreamParameters":
    """The mechanism that this home's configuration asks for in `space`."""
    return mechanism(session, space.dimension, space.half_life)


def mechanism(session: Session, dimension: int, half_life: int) -> "StreamParameters":
    """The mechanism that this home's configuration asks for in a space of this shape.

    With unit = day, spaces that are open on one day share its cap.
    """
    from ondevice.privacy.accountant import epsilon_of, rho_of
    from ondevice.privacy.stream import StreamParameters

    config = session.config
    epsilon = config.epsilon
    if config.unit == "day" and config.day_spaces > 1:
        share = rho_of(epsilon, config.delta) / config.day_spaces
        epsilon = epsilon_of(share * (1 - 1e-9), config.delta)  # what rounding could add
    return StreamParameters.for_budget(epsilon, config.delta, dimension, half_life=half_life)


def clock_of(session: Session, *, pace: int | None = None) -> "Clock | None":
    """When rows of a new stream are due; None for one at every behaviour.

    Args:
        session: whose.
        pace: seconds; None: as configured, and where nothing is, as in the streams there are.
    """
    from ondevice.privacy.cadence import Clock

    now = clock.now()
    if session.config.unit == "day":
        days = [one.clock for one in _ledger_streams(session) if one.clock and one.unit == "day"]
        return Clock.daily(now, days[0].offset if days else clock.utc_offset())
    pace = session.config.clock_seconds if pace is None else pace
    if pace is None:
        found = [one.clock.period for one in open_streams(session) if one.clock]
        pace = found[-1] if found else 0
    return Clock.every(pace, now) if pace else None


def ensure_stream(session: Session, space: "Space", *, pace: int | None = None) -> "Stream":
    """The open stream of `space`; charged in the ledger before it can have a row.

    A stream is kept as long as the cap allows it: a higher cap does not start the profile anew.
    Where the unit or the clock changed a new one takes over, and what was released goes on in it.

    Raises:
        BudgetExhaustedError: the cap does not allow it.
    """
    from ondevice.privacy.accountant import SLACK, rho_of

    config = session.config
    ledger = session.store.ledger
    parameters = parameters_of(session, space)
    schedule = clock_of(session, pace=pace)
    current = ledger.current(space.digest)
    if current is not None and _differ_in_budget_only(current.parameters, parameters):
        same = current.unit == config.unit and _period(current.clock) == _period(schedule)
        if same or current.parameters.rho <= parameters.rho * (1 + SLACK):
            parameters = current.parameters
        if parameters.rho > rho_of(config.epsilon, config.delta) * (1 + SLACK):
            raise BudgetExhaustedError(
                f"this profile was opened at epsilon {parameters.epsilon:g}, delta "
                f"{parameters.delta:g}; the cap is now epsilon {config.epsilon:g}, delta "
                f"{config.delta:g}: nothing was recorded",
                hint=f"set epsilon = {parameters.epsilon:g} and delta = {parameters.delta:g} in "
                f"{session.home.config} again, or go on under the new cap from now on: "
                "ondevice-rec profile restart",
            )
    carry = None
    if current is None or (current.unit, _period(current.clock)) != (
        config.unit,
        _period(schedule),
    ):
        bridge.keep_anchors(session, space)
        carry = bridge.carry_into(session, space)
    return ledger.ensure_stream(
        space=space.digest,
        unit=config.unit,
        parameters=parameters,
        cap_epsilon=config.epsilon,
        cap_delta=config.delta,
        at=clock.now(),
        clock=schedule,
        carry=carry,
    )


def start_clock(session: Session) -> None:
    """Let the shared view step on a public clock from now on: what a hub does when it starts.

    `shared_clock` in the configuration wins; without it the pace is an hour.
    """
    pace = session.config.clock_seconds
    if pace == 0 or session.config.unit == "day":
        return
    if pace is None:
        found = [one.clock.period for one in open_streams(session) if one.clock]
        pace = found[-1] if found else HUB_PACE
    spaces = {space.digest: space for space in bridge.spaces(session)}
    used = {one.space for one in open_streams(session)} or {session.base_space.digest}
    for digest in used & spaces.keys():
        ensure_stream(session, spaces[digest], pace=pace)


def step_due(session: Session) -> int:
    """Release every row that is due by now; return how many there were. Cheap when none is."""
    if not session.has_store:
        return 0
    from ondevice.store import row_maker

    now, store = clock.now(), session.store
    due = [
        stream
        for stream in store.ledger.open_streams()
        if (stream.clock or store.behaviours.waiting(stream)) and store.due(stream, now)
    ]
    return sum(store.tick(stream, now=now, make_row=row_maker()) for stream in due)


def open_streams(session: Session) -> "list[Stream]":
    """The streams that take rows; none before the first behaviour."""
    return session.store.ledger.open_streams() if session.has_store else []


def decoded_of(session: Session, stream: "Stream") -> "Decoded":
    """What `stream` says, with what went on in it from older ones."""
    from ondevice.privacy import decoder
    from ondevice.profile.carry import carried

    store = session.store
    blob = store.releases.state(stream)
    state = (
        decoder.StreamState.from_bytes(stream.parameters, blob)
        if blob is not None
        else decoder.StreamState.start(stream.parameters)
    )
    decoded = decoder.read_out(stream.parameters, state)
    before = store.ledger.carry_of(stream)
    if before is None or decoded.beta**decoded.steps < FORGOTTEN:
        return decoded
    return carried(decoded, decoded_of(session, before[0]), bridge.matrix(stream, before[1]))


def said_in(session: Session, space: "Space") -> "tuple[Stream | None, Decoded]":
    """The stream of `space` and what was released in it, or what goes on in it once it opens."""
    from ondevice.privacy import decoder
    from ondevice.profile.carry import carried

    step_due(session)
    stream = session.store.ledger.current(space.digest) if session.has_store else None
    if stream is not None:
        return stream, decoded_of(session, stream)
    parameters = parameters_of(session, space)
    nothing = decoder.read_out(parameters, decoder.StreamState.start(parameters))
    found = bridge.predecessor(session, space) if session.has_store else None
    if found is None:
        return None, nothing
    before, mapping = found
    return None, carried(nothing, decoded_of(session, before), mapping)


def past_of(session: Session, space: "Space") -> "PastSteps | None":
    """What the profile in `space` was fed, for the owner's eyes; None before anything was.

    Steps of streams that went on in this one are as old as all rows since, and in its space.
    """
    stream = session.store.ledger.current(space.digest)
    if stream is None:
        found = bridge.predecessor(session, space)
        if found is None:
            return None
        return _moved(_past(session, found[0]), found[1], 0, 0.0)
    return _past(session, stream)


def _past(session: Session, stream: "Stream") -> "PastSteps":
    past = session.store.behaviours.steps(stream)
    before = session.store.ledger.carry_of(stream)
    half_life = stream.parameters.half_life
    if before is None or 2.0 ** (-past.rows / half_life) < FORGOTTEN:
        return past
    moved = _moved(
        _past(session, before[0]),
        bridge.matrix(stream, before[1]),
        past.rows,
        past.rows / half_life,
    )
    return replace(
        past,
        individual=past.individual + moved.individual,
        older=past.older + moved.older,
        older_count=past.older_count + moved.older_count,
        forgotten=past.forgotten + moved.forgotten,
    )


def _moved(past: "PastSteps", mapping: "F64 | None", rows: int, half_lives: float) -> "PastSteps":
    """Return `past` as it is seen from `rows` rows later, through `mapping`."""
    import numpy as np

    def through(x: "F64") -> "F64":
        return x if mapping is None else mapping @ x

    individual = tuple(
        replace(
            step,
            age=step.age + rows,
            x=step.x if mapping is None else tuple(np.rint(through(np.array(step.x))).tolist()),
        )
        for step in past.individual
    )
    return replace(
        past, individual=individual, older=2.0**-half_lives * through(past.older), rows=rows
    )


def _ledger_streams(session: Session) -> "list[Stream]":
    return session.store.ledger.streams() if session.has_store else []


def _period(schedule: "Clock | None") -> int:
    return schedule.period if schedule else 0


def _differ_in_budget_only(one: "StreamParameters", other: "StreamParameters") -> bool:
    return (one.dimension, one.half_life, one.band, one.coefficients) == (
        other.dimension,
        other.half_life,
        other.band,
        other.coefficients,
    )
