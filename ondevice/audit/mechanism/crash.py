"""Killed at every statement: what anybody could read is what the store still has afterwards.

A child process records canaries and is killed with SIGKILL before, and after, each statement of
SQL in turn; before each it writes down what a reader can see. The child is forked, not started:
the lock of SECURITY 4 refuses new programs, and may be in force. It ends by SIGKILL or `_exit`,
so nothing of this process is flushed or closed twice.
"""

import gc
import json
import os
import select
import signal
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ondevice.audit.mechanism.findings import Finding, verdict
from ondevice.audit.mechanism.subject import Mechanism, Step
from ondevice.audit.mechanism.trace import canary, open_stream, parameters
from ondevice.errors import IntegrityError
from ondevice.paths import Home
from ondevice.privacy.randomness import Randomness
from ondevice.store import Store, Stream

NAME = "mechanism.crash"
EACH = 2  # behaviours that one child records, if it lives
PATIENCE = 30.0  # seconds; then a child counts as stuck


@dataclass(slots=True)
class _Child:
    """What became of one child."""

    shown: dict[int, Step] = field(default_factory=dict)  # row → what a reader saw
    killed: bool = False
    stuck: bool = False
    error: str = ""


def check(subject: Mechanism, folder: Path, randomness: Randomness, *, kills: int) -> Finding:
    """Kill `kills` children, each one event later than the one before, round and round."""
    if not hasattr(os, "fork"):
        return Finding(id=NAME, status="n/a", evidence="this system can't fork a process")
    home = Home(folder / "killed")
    with Store.open(home) as store:
        stream = open_stream(store, parameters(subject))
    problems: list[str] = []
    killed, event, points = 0, 0, 0
    while killed < kills and not problems:
        event += 1
        first = 1000 + EACH * (killed + event * kills)
        child = _run(subject, home, stream, range(first, first + EACH), event, randomness)
        if child.stuck:
            return Finding(
                id=NAME,
                status="warn",
                evidence=f"a child process did not answer within {PATIENCE:.0f} s",
            )
        if child.error:
            problems.append(f"a child failed: {child.error}")
        problems += _inspect(home, stream, child)
        if child.killed:
            killed += 1
        elif event == 1:
            problems.append("recording runs no statement at all")
        else:
            points, event = max(points, event - 1), 0
    return verdict(
        NAME,
        list(dict.fromkeys(problems)),
        passed=f"killed {killed} times, at {points or event} points around the statements of a "
        "recording: nothing that could be read was lost, and nothing is there by half",
        measured={"kills": killed, "points": points or event},
    )


def _inspect(home: Home, stream: Stream, child: _Child) -> list[str]:
    """Hold what the child showed against what its store has now."""
    found = []
    with Store.open(home) as store:
        try:
            store.verify()
        except IntegrityError as error:
            found.append(f"a kill leaves the store torn: {error}")
        rows = list(store.releases.rows(stream))
        behaviours = store.behaviours.count()
    if behaviours != len(rows):
        found.append(f"a kill leaves {behaviours} behaviours with {len(rows)} rows")
    for t, y in child.shown.items():
        if t > len(rows):
            found.append("a row could be read before its commit: it is gone after a kill")
        elif rows[t - 1] != y:
            found.append("a row that could be read before a kill reads differently after it")
    return found


def _run(
    subject: Mechanism,
    home: Home,
    stream: Stream,
    numbers: range,
    event: int,
    randomness: Randomness,
) -> _Child:
    """Fork a child that is killed at `event`, and read what it saw."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads: nothing here waits
        process = os.fork()
    if process == 0:
        os.close(reading)
        _child(subject, home, stream, numbers, event, randomness, writing)
    os.close(writing)
    try:
        text, stuck = _read(reading)
    finally:
        os.close(reading)
    if stuck:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    child = _Child(stuck=stuck)
    child.killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    for line in text.decode("ascii").split("\n")[:-1]:
        said = json.loads(line)
        child.error = said.get("error", child.error)
        if "t" in said:
            child.shown[said["t"]] = tuple(said["y"])
    if not child.killed and os.waitstatus_to_exitcode(status) != 0 and not child.error:
        child.error = f"it ended with status {os.waitstatus_to_exitcode(status)}"
    return child


def _read(descriptor: int) -> tuple[bytes, bool]:
    """Return all that is written, and whether nothing came for too long."""
    text = b""
    while select.select([descriptor], [], [], PATIENCE)[0]:
        part = os.read(descriptor, 1 << 16)
        if not part:
            return text, False
        text += part
    return text, True


@dataclass(slots=True)
class _Witness:
    """Sees the interpreter's calls in a child: shows what is readable, and kills at one event."""

    subject: Mechanism
    other: Store
    stream: Stream
    writing: int
    event: int
    seen: int = 0
    count: int = 0

    def show(self) -> None:
        """Write down the rows that a reader with its own connection sees for the first time."""
        rows = [tuple(y) for y in self.subject.released(self.other, self.stream)]
        for t, y in enumerate(rows[self.seen :], start=self.seen + 1):
            _say(self.writing, {"t": t, "y": y})
        self.seen = len(rows)

    def __call__(self, _frame: FrameType, what: str, function: Any) -> None:
        """Be told of a call by the interpreter, which is deaf to the calls made here."""
        statement = getattr(function, "__name__", "") == "execute"
        if not statement or what not in {"c_call", "c_return"}:
            return
        self.show()
        self.count += 1
        if self.count == self.event:
            os.kill(os.getpid(), signal.SIGKILL)


def _child(
    subject: Mechanism,
    home: Home,
    stream: Stream,
    numbers: range,
    event: int,
    randomness: Randomness,
    writing: int,
) -> None:
    """Record `numbers`; never returns."""
    gc.disable()  # what the parent had open is the parent's to close
    code = 1
    try:
        with Store.open(home) as store, Store.open(home) as other:
            witness = _Witness(
                subject=subject, other=other, stream=stream, writing=writing, event=event
            )
            make = subject.row_maker(subject.row, randomness)
            witness.show()
            sys.setprofile(witness)
            try:
                for number in numbers:
                    subject.record(store, [canary(number, stream)], make)
            finally:
                sys.setprofile(None)
            witness.show()
        code = 0
    except BaseException as error:  # whatever it is, it must not climb into the parent's code
        _say(writing, {"error": repr(error)})
    finally:
        os._exit(code)


def _say(writing: int, said: dict[str, Any]) -> None:
    os.write(writing, json.dumps(said).encode("ascii") + b"\n")
