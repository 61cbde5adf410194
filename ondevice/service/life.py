"""A profile's turns: begun anew, or fed again with what was recorded before."""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ondevice import clock
from ondevice.errors import BudgetExhaustedError, NotReadyError
from ondevice.service import bridge
from ondevice.service.behave import space_of, step_in, vector_of
from ondevice.service.session import Session
from ondevice.service.streams import clock_of, mechanism, open_streams, parameters_of, step_due

if TYPE_CHECKING:
    from ondevice.formats.space import Space
    from ondevice.privacy.cadence import Clock
    from ondevice.privacy.stream import StreamParameters
    from ondevice.store import Again, Stream

HALF_LIVES = 8  # of what was recorded before: older things would weigh below 1/256


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """What a restart did."""

    streams: int
    kept: bool  # whether what was released before goes on, and fades
    epsilon: float  # of the unit that is charged most; a restart never raises it above the cap

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    def sentence(self) -> str:
        """One line for people."""
        what = "your profile starts anew" if self.streams else "there was no profile yet"
        rest = "what was released before goes on and fades" if self.kept else "it is empty now"
        return f"{what}: {rest}; nothing is charged twice" if self.streams else what


def restart(session: Session, *, catalogue: str | None = None, keep: bool = True) -> Restarted:
    """Open a new, empty stream in the place of each one there is.

    What entered an old stream enters no new one, so nothing is charged twice. What was released
    stays released, and goes on in the new profile, fading with every new behaviour.

    Args:
        session: whose.
        catalogue: only the stream of its space; None for all.
        keep: whether what was released goes on; without it the profile is empty.

    Raises:
        BudgetExhaustedError: the cap does not allow such a stream.
        NotReadyError: no such catalogue.
    """
    from ondevice.store import Carry

    config = session.config
    only = session.catalogue(catalogue).space.digest if catalogue else None
    step_due(session)
    old = [one for one in open_streams(session) if only in (None, one.space)]
    for stream in old:
        session.store.ledger.open_stream(
            space=stream.space,
            unit=config.unit,
            parameters=mechanism(session, stream.parameters.dimension, stream.parameters.half_life),
            cap_epsilon=config.epsilon,
            cap_delta=config.delta,
            at=clock.now(),
            clock=clock_of(session),
            carry=Carry(after=stream.id) if keep else None,
        )
    return Restarted(streams=len(old), kept=keep, epsilon=_epsilon(session, _spent(session)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """What feeding old behaviours again would cost, before anybody agreed to it."""

    behaviours: int
    unit: str
    epsilon_before: float  # of the unit that is charged most
    epsilon_after: float
    epsilon_cap: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """What a person is told before agreeing."""
        return [
            f"{self.behaviours} things you did would enter the profile a second time, so each is "
            "charged a second time.",
            f"The most that any {self.unit} is charged goes from epsilon {self.epsilon_before:.3g} "
            f"to {self.epsilon_after:.3g}, of {self.epsilon_cap:g} allowed. This can't be undone.",
        ]


class Rebuilding:
    """A rebuild that was looked at and can be agreed to; see `prepare`."""

    def __init__(
        self, session: Session, space: "Space", plan: Rebuild, again: "list[Again]"
    ) -> None:
        self._session = session
        self._space = space
        self._again = again
        self.plan = plan

    def agree(self) -> Rebuild:
        """Charge for it, open the stream, and release its rows.

        Charged and queued in one transaction: killed behind it, the next use of the profile goes
        on with the rows.

        Raises:
            BudgetExhaustedError: the cap does not allow it.
        """
        session, config = self._session, self._session.config
        bridge.keep_anchors(session, self._space)
        session.store.ledger.open_stream(
            space=self._space.digest,
            unit=config.unit,
            parameters=_parameters(session, self._space),
            cap_epsilon=config.epsilon,
            cap_delta=config.delta,
            at=clock.now(),
            clock=_schedule(session, self._space),
            again=self._again,
        )
        step_due(session)
        return self.plan


def prepare(session: Session, *, catalogue: str | None = None) -> Rebuilding:
    """Look at what a rebuild would feed again, and what that would cost.

    It takes the newest eight half-lives: older things would weigh below 1/256.

    Args:
        session: whose.
        catalogue: of whose space; None for the one with most behaviours.

    Raises:
        NotReadyError: nothing was recorded in that space.
        BudgetExhaustedError: the cap does not allow it; the hint is the way out.
    """
    from ondevice.privacy.accountant import SLACK, rho_of

    step_due(session)
    space = session.pick(catalogue).space
    config, ledger = session.config, session.store.ledger
    parameters, schedule = _parameters(session, space), _schedule(session, space)
    again = _again(session, space, schedule)
    if not again:
        raise NotReadyError(
            "nothing that you did has entered this profile yet",
            hint='record something first: ondevice-rec log "what you did"',
        )
    after = ledger.spent_with(
        parameters,
        space=space.digest,
        unit=config.unit,
        at=clock.now(),
        clock=schedule,
        again=again,
    )
    plan = Rebuild(
        behaviours=len(again),
        unit=config.unit,
        epsilon_before=_epsilon(session, _spent(session)),
        epsilon_after=_epsilon(session, after),
        epsilon_cap=config.epsilon,
    )
    if after > rho_of(config.epsilon, config.delta) * (1 + SLACK):
        need = -(-plan.epsilon_after // 0.1) / 10
        raise BudgetExhaustedError(
            f"feeding {len(again)} behaviours again would bring the total to epsilon "
            f"{plan.epsilon_after:.3g}, above the cap of {config.epsilon:g}: nothing was released",
            hint=f"keep the profile you have; or set epsilon = {need:g} in {session.home.config}, "
            "which is a weaker promise, and ask again; or begin anew without the old "
            "behaviours, at no cost: ondevice-rec profile restart --empty",
        )
    return Rebuilding(session, space, plan, again)


def _parameters(session: Session, space: "Space") -> "StreamParameters":
    """As the stream there is: a higher cap pays for the second turn, not for a larger one."""
    current = session.store.ledger.current(space.digest)
    wanted = parameters_of(session, space)
    if current is None or current.parameters.rho > wanted.rho:
        return wanted
    return current.parameters


def _sources(session: Session, space: "Space") -> "list[Stream]":
    """The streams whose behaviours live in `space` now: its own, and one it takes over."""
    streams = session.store.ledger.streams()
    found = {one.id for one in streams if one.space == space.digest}
    before = bridge.predecessor(session, space)
    for one in streams:
        carried = session.store.ledger.carry_of(one)
        if one.id in found and carried is not None:
            found.add(carried[0].id)
    if before is not None:
        found.add(before[0].id)
    return [one for one in streams if one.id in found]


def _schedule(session: Session, space: "Space") -> "Clock | None":
    """The clock of a rebuilt stream: begun long enough ago to hold what is fed again."""
    schedule = clock_of(session)
    if schedule is None:
        return None
    starts = [one.clock.start for one in _sources(session, space) if one.clock]
    earliest = schedule.start - HALF_LIVES * space.half_life * schedule.period
    begin = max(min(starts, default=schedule.start), earliest, 0)
    behind = -(-(schedule.start - begin) // schedule.period)
    return replace(schedule, start=schedule.start - behind * schedule.period)


def _again(session: Session, space: "Space", schedule: "Clock | None") -> "list[Again]":
    from ondevice.store import Again

    sources = {one.id: one for one in _sources(session, space)}
    newest = HALF_LIVES * space.half_life if schedule is None else 1 << 30
    found = []
    if sources:
        found = session.store.behaviours.entered(sources, newest=newest)
    again: list[Again] = []
    for behaviour, number, t in found:
        if behaviour.id is None or space_of(session, behaviour).digest != space.digest:
            continue
        when = sources[number].clock
        if schedule is None:
            row = len(again) + 1
        elif when is None or when.start + t * when.period <= schedule.start:
            continue  # from before there was a clock, or too old to weigh anything
        else:
            row = schedule.first_of(when, t)
        x = vector_of(session, space, behaviour)[1]
        step = step_in(session, behaviour, x, alone=schedule is None)
        again.append(Again(behaviour=behaviour.id, t=row, step=step))
    return again


def _spent(session: Session) -> float:
    return session.store.ledger.spent() if session.has_store else 0.0


def _epsilon(session: Session, rho: float) -> float:
    from ondevice.privacy.accountant import epsilon_of

    return round(epsilon_of(rho, session.config.delta), 9)
