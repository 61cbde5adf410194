"""Mechanisms that break the claim, each in one way. For tests of the audit only."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np

from ondevice.audit.mechanism import Mechanism
from ondevice.audit.mechanism.subject import (
    F64,
    RowFunction,
    Sampler,
    Step,
    make_rows,
    record,
    released,
)
from ondevice.privacy import clipping, discrete_gaussian, stream
from ondevice.privacy.randomness import Randomness
from ondevice.privacy.stream import StreamParameters
from ondevice.store import Entry, Recorded, Row, RowMaker, Store, Stream


def signal(p: StreamParameters, inputs: Sequence[Step]) -> list[int]:
    """The banded sum, with no question asked about its steps."""
    return [
        sum(c * int(x[i]) for c, x in zip(p.coefficients, inputs, strict=False))
        for i in range(p.dimension)
    ]


def rows_with(sampler: Sampler) -> RowFunction:
    """The shipped row, but for where its noise comes from."""

    def row(p: StreamParameters, inputs: Sequence[Step], randomness: Randomness) -> Step:
        for x in inputs:
            clipping.require_clipped(x)
        noise = sampler(p.sigma2, p.dimension, randomness)
        return tuple(y + z for y, z in zip(signal(p, inputs), noise, strict=True))

    return row


# Noise.


def halved(variance: int | Fraction, count: int, randomness: Randomness) -> list[int]:
    return discrete_gaussian.sample(Fraction(variance) / 4, count, randomness)


@dataclass
class Reused:
    """Noise of one row that serves others too."""

    how: Callable[[list[int], list[int]], list[int]]  # (noise before, fresh) → this row's
    before: list[int] = field(default_factory=list)

    def __call__(self, variance: int | Fraction, count: int, randomness: Randomness) -> list[int]:
        fresh = discrete_gaussian.sample(variance, count, randomness)
        known = len(self.before) == count
        self.before = self.how(self.before, fresh) if known else fresh
        return self.before


def float_rounded(variance: int | Fraction, count: int, randomness: Randomness) -> list[int]:
    source, sigma = random.Random(randomness.bits(128)), float(variance) ** 0.5
    return [round(source.gauss(0.0, sigma)) for _ in range(count)]


def float_raw(variance: int | Fraction, count: int, randomness: Randomness) -> list[int]:
    source, sigma = random.Random(randomness.bits(128)), float(variance) ** 0.5
    return [source.gauss(0.0, sigma) for _ in range(count)]  # type: ignore[misc]  # the mistake


def float_single(variance: int | Fraction, count: int, randomness: Randomness) -> list[int]:
    """Exact where sigma is small, single precision at the sigma of a stream."""
    if variance < 1 << 20:
        return discrete_gaussian.sample(variance, count, randomness)
    source, sigma = random.Random(randomness.bits(128)), float(variance) ** 0.5
    return [int(np.float32(source.gauss(0.0, sigma))) for _ in range(count)]


# Steps.


def whole(vector: F64, weight: float) -> list[int]:
    scaled = np.asarray(vector, dtype=np.float64) * (weight * clipping.GRID)
    return [int(x) for x in np.trunc(np.nan_to_num(scaled)).tolist()]


def step_unclipped(vector: F64, weight: float) -> Step:
    return tuple(whole(vector, weight))


def row_unguarded(p: StreamParameters, inputs: Sequence[Step], randomness: Randomness) -> Step:
    noise = discrete_gaussian.sample(p.sigma2, p.dimension, randomness)
    return tuple(y + z for y, z in zip(signal(p, inputs), noise, strict=True))


def step_in(kind: type[np.signedinteger]) -> Callable[[F64, float], Step]:
    """Clip after a norm that was computed in machine integers."""

    def step(vector: F64, weight: float) -> Step:
        clipping.to_grid(vector, weight)  # the same refusals
        values = whole(vector, weight)
        with np.errstate(all="ignore"):
            small = np.array([x & 0xFFFFFFFF for x in values], dtype=np.uint32).astype(kind)
            total = int((small * small).sum(dtype=kind))
        if total <= clipping.RADIUS**2:
            return tuple(values)
        return clipping.clip(values)

    return step


def step_rounded(vector: F64, weight: float) -> Step:
    """A float norm, and rounding to nearest after it."""
    clipping.to_grid(vector, weight)
    scaled = np.asarray(vector, dtype=np.float64) * (weight * clipping.GRID)
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(scaled / clipping.GRID)) or 1.0
    return tuple(int(x) for x in np.rint(scaled / max(1.0, norm)).tolist())


def step_of_nan(vector: F64, weight: float) -> Step:
    return clipping.to_grid(np.nan_to_num(np.asarray(vector), nan=0.0), weight)


def day_in_16_bits(steps: Iterable[Step], dimension: int) -> Step:
    """Clips each step, then sums without clipping the sum."""
    total = [0] * dimension
    for step in steps:
        total = [a + b for a, b in zip(total, step, strict=True)]
    with np.errstate(all="ignore"):
        squares = np.array(total, dtype=np.int64).astype(np.int16)
        energy = int((squares.astype(np.int32) ** 2).sum())
    return tuple(total) if energy <= clipping.RADIUS**2 else clipping.clip(total)


def row_in_32_bits(p: StreamParameters, inputs: Sequence[Step], randomness: Randomness) -> Step:
    stream.row(p, inputs, randomness)  # the same refusals
    with np.errstate(all="ignore"):
        total = np.zeros(p.dimension, dtype=np.int32)
        for c, x in zip(p.coefficients, inputs, strict=False):
            total = total + np.int32(c) * np.array(x, dtype=np.int32)
    noise = discrete_gaussian.sample(p.sigma2, p.dimension, randomness)
    return tuple(int(s) + z for s, z in zip(total.tolist(), noise, strict=True))


# Records.


def record_twice(store: Store, batch: Sequence[Entry], make_row: RowMaker) -> list[Recorded]:
    """The same step enters twice: two rows hold one behaviour."""
    done = record(store, batch, make_row)
    again = [
        replace(entry, behaviour=replace(entry.behaviour, source="again"))
        for entry, one in zip(batch, done, strict=True)
        if not one.duplicate
    ]
    record(store, again, make_row)
    return done


def released_anew(store: Store, at: Stream) -> Iterable[Step]:
    """Every reader gets noise of its own."""
    for y in released(store, at):
        yield tuple(value + 1 + random.getrandbits(24) for value in y)


def tick_ahead(store: Store, at: Stream, now: datetime, make_row: RowMaker) -> int:
    """Releases a day that has not ended, so that it reopens."""
    return store.tick(at, now=now + timedelta(days=1), make_row=make_row)


@dataclass
class Silent:
    """No row on a day without a behaviour: that there was none is seen."""

    behaved: bool = False

    def record(self, store: Store, batch: Sequence[Entry], make_row: RowMaker) -> list[Recorded]:
        self.behaved = True
        return record(store, batch, make_row)

    def tick(self, store: Store, at: Stream, now: datetime, make_row: RowMaker) -> int:
        if not self.behaved:
            return 0
        self.behaved = False
        return store.tick(at, now=now, make_row=make_row)

    def mechanism(self) -> Mechanism:
        return Mechanism(name="silent on empty days", record=self.record, tick=self.tick)


@dataclass
class Early:
    """Shows a row as soon as it is drawn."""

    drawn: list[Step] = field(default_factory=list)

    def row_maker(self, row: RowFunction, randomness: Randomness) -> RowMaker:
        make = make_rows(row, randomness)

        def draw(stream: Stream, inputs: Sequence[Step], state: bytes | None) -> Row:
            made = make(stream, inputs, state)
            self.drawn.append(made.y)
            return made

        return draw

    def released(self, store: Store, at: Stream) -> Iterable[Step]:
        rows = list(released(store, at))
        return [*rows, *(y for y in self.drawn[-1:] if y not in rows)]

    def mechanism(self) -> Mechanism:
        return Mechanism(name="shown early", row_maker=self.row_maker, released=self.released)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A broken mechanism, made anew for each run, and the checks that are made for it."""

    make: Callable[[], Mechanism]
    caught_by: tuple[str, ...]


def noisy(sampler: Callable[[], Sampler], *checks: str) -> Broken:
    def make() -> Mechanism:
        one = sampler()
        return Mechanism(sample=one, row=rows_with(one))

    return Broken(make=make, caught_by=tuple(f"mechanism.{check}" for check in checks))


def wrong(*checks: str, **functions: object) -> Broken:
    return Broken(
        make=lambda: Mechanism(**functions),  # type: ignore[arg-type]
        caught_by=tuple(f"mechanism.{check}" for check in checks),
    )


def tenth(before: list[int], fresh: list[int]) -> list[int]:
    return [old if i % 10 == 0 else new for i, (old, new) in enumerate(zip(before, fresh))]  # noqa: B905


BROKEN: dict[str, Broken] = {
    "sigma halved": noisy(lambda: halved, "variance", "trade_off"),
    "noise reused": noisy(lambda: Reused(lambda before, _: before), "cross_row"),
    "noise reused with its sign changed": noisy(
        lambda: Reused(lambda before, _: [-z for z in before]), "cross_row"
    ),
    "a tenth of the noise reused": noisy(lambda: Reused(tenth), "cross_row"),
    "rounded float Gaussian": noisy(lambda: float_rounded, "low_bits", "sampler"),
    "float Gaussian": noisy(lambda: float_raw, "types"),
    "single-precision Gaussian": noisy(lambda: float_single, "low_bits"),
    "clip skipped": wrong("sensitivity", step=step_unclipped),
    "clip skipped everywhere": wrong("sensitivity", step=step_unclipped, row=row_unguarded),
    "norm in 16 bits": wrong("sensitivity", step=step_in(np.int16)),
    "norm in 32 bits": wrong("sensitivity", step=step_in(np.int32)),
    "norm in floats, rounded": wrong("sensitivity", step=step_rounded),
    "NaN becomes zero": wrong("sensitivity", step=step_of_nan),
    "day in 16 bits": wrong("sensitivity", day=day_in_16_bits),
    "row in 32 bits": wrong("sensitivity", row=row_in_32_bits),
    "row released twice": wrong("trace", record=record_twice),
    "noise drawn anew at each reading": wrong("trace", released=released_anew),
    "a day released before its end": wrong("trace", tick=tick_ahead),
    "empty days left out": Broken(
        make=lambda: Silent().mechanism(), caught_by=("mechanism.trace",)
    ),
    "row shown before its commit": Broken(
        make=lambda: Early().mechanism(), caught_by=("mechanism.trace", "mechanism.crash")
    ),
}
