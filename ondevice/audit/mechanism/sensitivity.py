"""A search for an input that moves what is released by more than the claim allows.

Three questions, each answered in exact integers: can any vector, day or weight become a step
outside the ball; does a row hold exactly the banded sum of its steps; and does one step, there or
zeroed, move all rows of a stream together by more than S^2 sum c^_k^2? Noise is drawn from one
tape in both worlds, so it cancels. The inputs are those that break machine arithmetic (squares
that wrap to nothing in 16 or 32 bits, infinities, NaN, minus zero, denormals), random ones of
every size, and a climb along the surface of the ball.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ondevice.audit.mechanism.findings import Finding, verdict
from ondevice.audit.mechanism.subject import F64, Mechanism, Step
from ondevice.audit.mechanism.tape import Tape, below, unit
from ondevice.errors import OnDeviceError
from ondevice.privacy.clipping import GRID, RADIUS
from ondevice.privacy.randomness import Randomness
from ondevice.privacy.stream import StreamParameters

NAME = "mechanism.sensitivity"
BALL = RADIUS * RADIUS
# In grid units: around the limits of 16, 32 and 64 bits, and those whose squares wrap to zero.
EDGES = (
    *(1, 181, 182, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 46340, 46341, 65535, 65536),
    *(1 << 17, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 53) + 2, 1 << 62, 1 << 63, 1 << 64, 1 << 100),
)
SIZES = (1, 2, 3, 4, 16, 48, 64, 256)
WEIGHTS = (1.0, -1.0, 0.5, -0.25, 2.0**-1074)
REFUSED = (1.0000001, -2.0, math.inf, -math.inf, math.nan)


@dataclass(slots=True)
class _Search:
    subject: Mechanism
    randomness: Randomness
    problems: list[str] = field(default_factory=list)
    tried: int = 0
    largest: int = 0  # squared norm of the longest step seen

    def note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def step(self, vector: F64, weight: float, what: str) -> int:
        """Return the squared norm of the step of `vector`; a refusal counts as zero."""
        try:
            given = self.subject.step(vector, weight)
        except OnDeviceError as error:
            self.note(f"{what} is refused: {error}")
            return 0
        return self.judge(given, what)

    def judge(self, given: Sequence[int], what: str) -> int:
        self.tried += 1
        energy = sum(int(x) * int(x) for x in given)
        self.largest = max(self.largest, energy)
        if energy > BALL:
            times = math.sqrt(energy / BALL)
            self.note(f"{what} becomes a step of {times:.7g} times the radius")
        return energy


def check(subject: Mechanism, randomness: Randomness, *, rounds: int) -> Finding:
    """Search for `rounds` random vectors, days, climbs and histories, and all known edges."""
    search = _Search(subject=subject, randomness=randomness)
    _edges(search)
    _not_numbers(search)
    _random_vectors(search, rounds)
    _climb(search, rounds)
    _days(search, rounds)
    for half_life, dimension in ((1, 1), (3, 2), (16, 3)):
        p = subject.parameters(4.0, 1e-6, dimension, half_life=half_life)
        _rows(search, p, max(4, rounds // (20 * half_life)))
        _bad_rows(search, p)
    for half_life in (64, 256):
        _full_band(search, subject.parameters(4.0, 1e-6, 2, half_life=half_life))
    return verdict(
        NAME,
        search.problems,
        passed=f"no step of {search.tried} tried leaves the ball, and one step moves a whole "
        "stream by no more than was charged",
        measured={
            "tried": search.tried,
            "longest_step_over_radius": math.sqrt(search.largest) / RADIUS,
        },
    )


def _edges(search: _Search) -> None:
    for size in SIZES:
        for edge in EDGES:
            full = np.full(size, edge / GRID)
            mixed = full * np.where(np.arange(size) % 2, -1.0, 1.0)
            one = np.zeros(size)
            one[-1] = -edge / GRID
            for vector in (full, mixed, one):
                search.step(vector, 1.0, f"{size} coordinates at {edge} grid units")
                search.step(vector.astype(np.float32), -1.0, f"{size} float32 at {edge} units")
    for value in (0.0, -0.0, 5e-324, 2.0**-15, np.nextafter(1.0, 2.0), np.nextafter(1.0, 0.0)):
        for weight in WEIGHTS:
            search.step(np.array([value, -value, 0.0]), weight, f"the value {value!r}")
    for value in (1e10, 1e100, 1e154, 1e200, 1e300):
        search.step(np.array([value, -1.0, value]), 1.0, f"the value {value:g}")


def _not_numbers(search: _Search) -> None:
    """What is no number must be refused: it has no place on the grid."""
    good = np.array([0.5, -0.25, 0.0])
    cases: list[tuple[F64, float, str]] = [
        (good, weight, f"a weight of {weight}") for weight in REFUSED
    ]
    for value in (math.nan, math.inf, -math.inf):
        for at in range(3):
            vector = good.copy()
            vector[at] = value
            cases.append((vector, 1.0, f"a vector that holds {value}"))
    for vector, weight, what in cases:
        search.tried += 1
        _refuses(search, partial(search.subject.step, vector, weight), what)


def _random_vectors(search: _Search, rounds: int) -> None:
    for _ in range(rounds):
        size = 1 + below(64, search.randomness)
        scale = 2.0 ** (unit(search.randomness) * 90 - 20)
        vector = _direction(size, search.randomness) * scale
        weight = 2 * unit(search.randomness) - 1
        search.step(vector, weight, f"a random vector of length {scale:.3g}")
        search.step(vector.astype(np.float32), 1.0, f"a random float32 vector of {scale:.3g}")


def _climb(search: _Search, rounds: int) -> None:
    """Walk on the sphere towards longer steps: truncation and rounding are worst there."""
    for size in (2, 3, 48):
        at = _direction(size, search.randomness)
        best = search.step(at, 1.0, "a vector of length 1")
        for _ in range(rounds // 3):
            pull = 2.0 ** -(1 + below(40, search.randomness))
            near = at + pull * _direction(size, search.randomness)
            near = near / _length(near) * (1 + pull * (unit(search.randomness) - 0.4))
            energy = search.step(near, 1.0, f"a vector of length {_length(near):.9f}")
            if energy >= best:
                at, best = near, energy


def _days(search: _Search, rounds: int) -> None:
    """A day's steps are summed before they are clipped: the sum is what may overflow."""
    corners = ((RADIUS, 0), (-RADIUS, 0), (11585, -11585), (256, 256), (RADIUS - 1, 1))
    cases: list[tuple[list[Step], str]] = [([], "an empty day")]
    for count in (1, 2, 3, 4, 8, 512, 4096):
        cases += [([x] * count, f"a day of {count} steps {x}") for x in corners]
    for _ in range(rounds // 4):
        count = 1 + below(300, search.randomness)
        pair = np.trunc(_direction(2, search.randomness) * RADIUS)
        x = (int(pair[0]), int(pair[1]))
        cases.append(([x] * count, f"a day of {count} steps {x}"))
    for steps, what in cases:
        try:
            search.judge(search.subject.day(steps, 2), what)
        except OnDeviceError as error:
            search.note(f"{what} is refused: {error}")


def _rows(search: _Search, p: StreamParameters, histories: int) -> None:
    bound = p.clip**2 * sum(c * c for c in p.coefficients)
    largest = (RADIUS,) + (0,) * (p.dimension - 1)
    for number in range(histories):
        length = p.band + 1 + below(p.band + 2, search.randomness)
        history = [largest] * length if number < 2 else _history(search, p, length)
        if number == 1:
            history = [tuple(-x for x in step) for step in history]
        seed = search.randomness.bytes(16)
        rows = _stream(search.subject, p, history, seed)
        noise = _stream(search.subject, p, [(0,) * p.dimension] * length, seed)
        for t, (y, z) in enumerate(zip(rows, noise, strict=True)):
            if [a - b for a, b in zip(y, z, strict=True)] != _signal(p, history, t):
                search.note(f"a row of half-life {p.half_life} is not the banded sum of its steps")
        where = below(length, search.randomness)
        changed = [*history[:where], (0,) * p.dimension, *history[where + 1 :]]
        other = _stream(search.subject, p, changed, seed)
        moved = sum(
            (int(a) - int(b)) ** 2
            for y, z in zip(rows, other, strict=True)
            for a, b in zip(y, z, strict=True)
        )
        search.tried += 1
        if moved > bound:
            search.note(
                f"zeroing one step moves a stream of half-life {p.half_life} by "
                f"{math.sqrt(moved / bound):.4g} times what was charged"
            )


def _full_band(search: _Search, p: StreamParameters) -> None:
    """The largest sum a row can hold: every step of the band at the radius, on one side."""
    for x in ((RADIUS, 0), (0, -RADIUS)):
        seed = search.randomness.bytes(16)
        y = search.subject.row(p, [x] * p.band, Tape(seed))
        z = search.subject.row(p, [(0, 0)] * p.band, Tape(seed))
        search.tried += 1
        if [a - b for a, b in zip(y, z, strict=True)] != [sum(p.coefficients) * v for v in x]:
            search.note(f"a full band of half-life {p.half_life} does not add up")


def _bad_rows(search: _Search, p: StreamParameters) -> None:
    """Steps that no charge covers are refused by the row itself, whoever made them."""
    zero = (0,) * p.dimension
    beyond = (RADIUS,) * p.dimension if p.dimension > 1 else (RADIUS + 1,)
    cases: dict[str, list[Step]] = {
        "a row with a step outside the ball": [beyond],
        "a row with an older step outside the ball": [zero, beyond][-p.band :],
        "a row of a step whose squares wrap": [(1 << 16,) * p.dimension],
        "a row with more steps than the band": [zero] * (p.band + 1),
        "a row of a step of another dimension": [(*zero, 0)],
        "a row without a step": [],
    }
    for what, inputs in cases.items():
        search.tried += 1
        _refuses(search, partial(search.subject.row, p, inputs, search.randomness), what)


def _refuses(search: _Search, act: Callable[[], object], what: str) -> None:
    try:
        act()
    except OnDeviceError:
        return
    except (ArithmeticError, ValueError, TypeError) as error:
        search.note(f"{what} is not refused but breaks: {error!r}")
        return
    search.note(f"{what} is not refused")


def _history(search: _Search, p: StreamParameters, length: int) -> list[Step]:
    def one() -> Step:
        scale = RADIUS * (1.0 if below(2, search.randomness) else unit(search.randomness))
        vector = np.trunc(_direction(p.dimension, search.randomness) * scale * (1 - 1e-9))
        return tuple(int(x) for x in vector)

    return [one() for _ in range(length)]


def _stream(
    subject: Mechanism, p: StreamParameters, history: list[Step], seed: bytes
) -> list[Step]:
    tape = Tape(seed)
    return [subject.row(p, band, tape) for band in bands(p, history)]


def bands(p: StreamParameters, history: Sequence[Step]) -> Iterator[list[Step]]:
    """Yield what each row mixes: the newest step first, at most a band of them."""
    for t in range(len(history)):
        yield list(history[max(0, t - p.band + 1) : t + 1])[::-1]


def _signal(p: StreamParameters, history: list[Step], t: int) -> list[int]:
    return [
        sum(c * step[i] for c, step in zip(p.coefficients, history[t::-1], strict=False))
        for i in range(p.dimension)
    ]


def _direction(size: int, randomness: Randomness) -> F64:
    """Return a vector of length 1, whose direction is not quite uniform."""
    raw = np.array([unit(randomness) - 0.5 for _ in range(size)])
    return np.asarray(raw / _length(raw))


def _length(vector: F64) -> float:
    return max(float(np.linalg.norm(vector)), 1e-300)
