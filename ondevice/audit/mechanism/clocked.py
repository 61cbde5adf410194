"""A stream of days: one row for each day that has ended, empty or not, and never on a behaviour."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from ondevice.audit.mechanism import trace
from ondevice.audit.mechanism.subject import Mechanism
from ondevice.paths import Home
from ondevice.privacy.cadence import Clock
from ondevice.privacy.randomness import Randomness
from ondevice.store import Store

DAY = timedelta(days=1)
BUSY = (2, 0, 1, 0)  # behaviours on each of the first days
GAP = 3  # days on which no program ran
OTHER_SPACE = "cb" * 32


def problems(subject: Mechanism, folder: Path, randomness: Randomness) -> list[str]:
    """Follow a week of a stream of days in a store of its own; return what is wrong."""
    home = Home(folder / "clocked")
    with Store.open(home) as store, Store.open(home) as other:
        stream = store.ledger.ensure_stream(
            space=OTHER_SPACE,
            unit="day",
            parameters=trace.parameters(subject),
            cap_epsilon=4.0,
            cap_delta=1e-6,
            at=trace.AT,
            clock=Clock.daily(trace.AT, 0),
        )
        watch = trace.Watch(
            subject=subject,
            store=store,
            other=other,
            stream=stream,
            make=subject.row_maker(subject.row, randomness),
        )
        number = 0
        for day, behaviours in enumerate(BUSY):
            sums = [0] * trace.DIMENSION
            for _ in range(behaviours):
                number += 1
                sums = _sum(sums, _record(watch, number, trace.AT + day * DAY + DAY / 2))
            _tick(watch, trace.AT + (day + 1) * DAY, sums)
        late = _record(watch, number + 1, trace.AT + DAY / 2)  # the clock was set back
        end = len(BUSY) + GAP
        _tick(watch, trace.AT + end * DAY, [0] * trace.DIMENSION, rows=GAP)
        if tuple(late) not in watch.entered:
            watch.problems.append("a behaviour on a day that was charged is lost")
        _tick(watch, trace.AT, [], rows=0)
        store.verify()
    return watch.problems


def _record(watch: trace.Watch, number: int, now: datetime) -> list[int]:
    """Record one canary: nothing may be drawn or released because of it."""
    drawn = len(watch.drawn)
    entry = replace(trace.canary(number, watch.stream), now=now)
    watch.subject.record(watch.store, [entry], watch)
    seen = watch.look("because something was recorded")
    if len(watch.drawn) != drawn or len(seen) != len(watch.committed):
        watch.problems.append("a stream of days releases a row when something is recorded")
        watch.committed = seen
    return list(entry.step)


def _tick(watch: trace.Watch, now: datetime, newest: list[int], *, rows: int = 1) -> None:
    """Let time pass: exactly the days that ended get a row, once."""
    for due in (rows, 0):
        drawn = len(watch.drawn)
        watch.subject.tick(watch.store, watch.stream, now, watch)
        seen = watch.look("after its commit")
        if (len(watch.drawn) - drawn, len(seen) - len(watch.committed)) != (due, due):
            watch.problems.append(
                f"days that ended: {due}; rows that came of it: {len(seen) - len(watch.committed)}"
            )
        watch.committed = seen
        if due == 1 and watch.entered and list(watch.entered[-1]) != newest:
            watch.problems.append("the row of a day does not hold the sum of that day")


def _sum(sums: list[int], step: list[int]) -> list[int]:
    return [a + b for a, b in zip(sums, step, strict=True)]
