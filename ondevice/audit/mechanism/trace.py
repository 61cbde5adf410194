"""One row from its charge to its release, watched through a second connection to a real store.

Charged before it is drawn; not readable before its commit; committed with its behaviour; never
released twice, never changed, never drawn for a behaviour that is known already.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ondevice.audit.mechanism.findings import Finding, verdict
from ondevice.audit.mechanism.subject import Mechanism, Step
from ondevice.domain import Behaviour, Kind
from ondevice.errors import BudgetExhaustedError, OnDeviceError
from ondevice.paths import Home
from ondevice.privacy.randomness import Randomness
from ondevice.privacy.stream import StreamParameters
from ondevice.store import Entry, Row, RowMaker, Store, Stream

NAME = "mechanism.trace"
AT = datetime(2026, 1, 1, tzinfo=UTC)  # of canaries; no clock decides anything here
SPACE = "ca" * 32
DIMENSION, HALF_LIFE = 3, 4


class _FailedDrawError(OnDeviceError):
    """Raised in the middle of a transaction, on purpose."""


@dataclass(slots=True)
class Watch:
    """Stands where rows are drawn, and looks at what others can read."""

    subject: Mechanism
    store: Store
    other: Store  # a reader with a connection of its own
    stream: Stream
    make: RowMaker
    problems: list[str] = field(default_factory=list)
    drawn: list[Step] = field(default_factory=list)
    committed: list[Step] = field(default_factory=list)
    entered: list[Step] = field(default_factory=list)  # the newest step of each row drawn
    fail: bool = False  # at the next draw, after it

    def __call__(self, stream: Stream, inputs: Sequence[Step], state: bytes | None) -> Row:
        """Draw a row as the mechanism does, and look around before and after."""
        if stream.id not in {one.id for one in self.other.ledger.streams()}:
            self.problems.append("a row is drawn before its stream is charged in the ledger")
        row = self.make(stream, inputs, state)
        self.drawn.append(row.y)
        self.entered.append(tuple(inputs[0]))
        self.look("while a row is drawn")
        if self.fail:
            raise _FailedDrawError("stopped on purpose")
        return row

    def look(self, when: str) -> list[Step]:
        """Read what is released, as others can, and hold it against what was committed."""
        seen = [tuple(y) for y in self.subject.released(self.other, self.stream)]
        if len(seen) > len(self.committed) and when != "after its commit":
            self.problems.append(f"row {len(self.committed) + 1} can be read {when}")
        if seen[: len(self.committed)] != self.committed[: len(seen)]:
            self.problems.append(f"a row that was released reads differently {when}")
        return seen

    def record(self, numbers: Sequence[int], *, new: int) -> None:
        """Record canaries, of which `new` are not known yet, and look at what came of it."""
        before = len(self.drawn)
        self.subject.record(self.store, [canary(n, self.stream) for n in numbers], self)
        if len(self.drawn) - before != new:
            self.problems.append(
                f"{new} new behaviours caused {len(self.drawn) - before} draws of a row"
            )
        seen = self.look("after its commit")
        if len(seen) != len(self.committed) + new:
            self.problems.append(
                f"{new} new behaviours released {len(seen) - len(self.committed)} rows: "
                "a row is released once"
            )
        fresh = seen[len(self.committed) :]
        if fresh and fresh != [tuple(y) for y in self.drawn[-len(fresh) :]]:
            self.problems.append("what is released is not what was drawn for it")
        self.committed = seen


def canary(number: int, stream: Stream) -> Entry:
    """Return a behaviour that nobody did, and its step."""
    behaviour = Behaviour(text=f"canary {number}", kind=Kind.USE, at=AT, source="audit")
    return Entry(behaviour=behaviour, stream=stream, step=(number + 1, -number, 16))


def parameters(subject: Mechanism) -> StreamParameters:
    """Return those of the stream that canaries enter."""
    return subject.parameters(4.0, 1e-6, DIMENSION, half_life=HALF_LIFE)


def open_stream(store: Store, p: StreamParameters) -> Stream:
    """Charge for a stream of canaries."""
    return store.ledger.ensure_stream(
        space=SPACE, unit="behaviour", parameters=p, cap_epsilon=4.0, cap_delta=1e-6, at=AT
    )


def check(subject: Mechanism, folder: Path, randomness: Randomness) -> Finding:
    """Follow a dozen rows through a store in `folder`."""
    home = Home(folder / "traced")
    with Store.open(home) as store, Store.open(home) as other:
        stream = open_stream(store, parameters(subject))
        watch = Watch(
            subject=subject,
            store=store,
            other=other,
            stream=stream,
            make=subject.row_maker(subject.row, randomness),
        )
        if watch.look("before any behaviour"):
            watch.problems.append("a row is released before any behaviour")
        for number in range(HALF_LIFE + 2):
            watch.record([number], new=1)
        watch.record([0, 1], new=0)
        watch.record([10, 11, 2, 12, 12], new=3)
        _failed_draw(watch)
        watch.record([20], new=1)
        _beyond_the_cap(watch, store, subject)
        if store.behaviours.count() != len(watch.committed):
            watch.problems.append(
                f"{store.behaviours.count()} behaviours go with {len(watch.committed)} rows"
            )
        store.verify()
    return verdict(
        NAME,
        list(dict.fromkeys(watch.problems)),
        passed=f"{len(watch.committed)} rows were charged first, unreadable until their commit, "
        "and released once",
        measured={"rows": len(watch.committed), "draws": len(watch.drawn)},
    )


def _failed_draw(watch: Watch) -> None:
    """What is drawn and not committed is never seen, and leaves nothing behind."""
    watch.fail = True
    try:
        watch.subject.record(watch.store, [canary(20, watch.stream)], watch)
        watch.problems.append("a failure in the middle of recording goes unnoticed")
    except _FailedDrawError:
        pass
    finally:
        watch.fail = False
    watch.look("although its transaction failed")


def _beyond_the_cap(watch: Watch, store: Store, subject: Mechanism) -> None:
    before = len(store.ledger.streams())
    greedy = subject.parameters(8.0, 1e-6, DIMENSION, half_life=HALF_LIFE)
    try:
        open_stream(store, greedy)
    except BudgetExhaustedError:
        return
    watch.problems.append(f"stream {before + 1} was opened beyond the cap")
