"""Parameters that can't lie, and rows that are exactly signal plus noise."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from ondevice.errors import ConfigError, IntegrityError
from ondevice.privacy.accountant import epsilon_of, rho_of
from ondevice.privacy.clipping import RADIUS
from ondevice.privacy.discrete_gaussian import sample
from ondevice.privacy.randomness import SystemRandomness
from ondevice.privacy.stream import GRAIN, StreamParameters, exact_rho, root_coefficients, row

DELTA = 1e-6


class Seeded:
    """Repeatable bits, for tests only."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def bits(self, k: int) -> int:
        return self._source.getrandbits(k)

    def bytes(self, n: int) -> bytes:
        return self._source.randbytes(n)


def small(epsilon: float = 4.0, dimension: int = 2, half_life: int = 3) -> StreamParameters:
    return StreamParameters.for_budget(epsilon, DELTA, dimension, half_life=half_life)


@pytest.mark.parametrize("half_life", [1, 2, 3, 16, 64, 256])
def test_coefficients_are_the_rounded_square_root(half_life: int) -> None:
    c = root_coefficients(half_life, half_life)
    exact = [
        2.0 ** (-k / half_life) * math.comb(2 * k, k) / 4**k * 2**GRAIN for k in range(half_life)
    ]

    assert c[0] == 2**GRAIN
    assert len(c) == half_life
    assert max(abs(a - b) for a, b in zip(c, exact, strict=True)) <= 0.5 + 1e-6


def test_the_square_of_the_root_is_the_decayed_sum() -> None:
    c = [value / 2**GRAIN for value in root_coefficients(64, 64)]
    square = np.convolve(c, c)[:64]

    assert square == pytest.approx([2.0 ** (-k / 64) for k in range(64)], rel=2e-3)


@pytest.mark.parametrize("half_life", [2, 16, 64, 256])
def test_zeros_of_the_root_lie_outside_the_unit_circle(half_life: int) -> None:
    zeros = np.roots(np.array(root_coefficients(half_life, half_life), dtype=float)[::-1])

    assert np.abs(zeros).min() > 1 + 1 / (8 * half_life)


@pytest.mark.parametrize("epsilon", [0.01, 0.5, 1.0, 4.0, 8.0, 20.0])
@pytest.mark.parametrize("half_life", [1, 16, 64, 256])
def test_noise_is_the_least_that_keeps_the_budget(epsilon: float, half_life: int) -> None:
    p = StreamParameters.for_budget(epsilon, DELTA, 64, half_life=half_life)
    budget = Fraction(rho_of(epsilon, DELTA))

    assert exact_rho(p.coefficients, p.sigma2) <= Fraction(p.rho) <= budget
    assert exact_rho(p.coefficients, p.sigma2 - 1) > budget
    assert epsilon_of(p.rho, DELTA) <= epsilon


def test_a_claim_that_does_not_hold_cannot_be_constructed() -> None:
    p = small()
    wrong: list[dict[str, object]] = [
        {"sigma2": p.sigma2 // 2},
        {"sigma2": 0},
        {"epsilon": 3.9},
        {"rho": p.rho / 2},
        {"clip": RADIUS * 2},
        {"grid": 1},
        {"coefficients": (p.coefficients[0],) * 3},
        {"coefficients": (3, 2, 0)},
        {"coefficients": p.coefficients[:2]},
        {"dimension": 0},
        {"dimension": 5000},
    ]
    for change in wrong:
        with pytest.raises(ConfigError):
            replace(p, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(("half_life", "band"), [(0, None), (257, None), (64, 0), (64, 300)])
def test_a_stream_out_of_range_is_refused(half_life: int, band: int | None) -> None:
    with pytest.raises(ConfigError, match="must be 1 to 256"):
        StreamParameters.for_budget(4.0, DELTA, 64, half_life=half_life, band=band)


def test_every_field_changes_the_digest() -> None:
    digests = {
        p.digest
        for p in (
            small(),
            small(epsilon=2.0),
            small(dimension=3),
            small(half_life=4),
            StreamParameters.for_budget(4.0, DELTA, 2, half_life=3, band=2),
            StreamParameters.for_budget(4.0, 1e-7, 2, half_life=3),
            replace(small(), sigma2=small().sigma2 + 1),
        )
    }

    assert len(digests) == 7
    assert small().digest == small().digest


def test_a_row_is_the_banded_sum_plus_a_draw_of_the_sampler() -> None:
    p = small()
    steps = [(100, -7), (RADIUS, 0), (0, 5)]
    noise = sample(p.sigma2, 2, Seeded(5))
    c = p.coefficients

    assert row(p, steps, Seeded(5)) == (
        c[0] * 100 + c[1] * RADIUS + noise[0],
        -c[0] * 7 + c[2] * 5 + noise[1],
    )


def test_rows_use_fresh_noise_each_time() -> None:
    p, source = small(dimension=8), SystemRandomness()
    rows = {row(p, [(0,) * 8], source) for _ in range(50)}

    assert len(rows) == 50


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [(0, 0)] * 4,
        [(0,)],
        [(0, 0, 0)],
        [(RADIUS, 1)],
        [(0, 0), (-RADIUS, 1)],
        [(2**62, 2**62)],
        [np.array([2**40, 0], dtype=np.int64)],
    ],
)
def test_steps_that_would_break_the_proof_are_refused(steps: list[Sequence[int]]) -> None:
    with pytest.raises(IntegrityError):
        row(small(), steps, SystemRandomness())


def test_machine_integers_are_read_as_exact_ones() -> None:
    p = small()
    steps = np.array([[100, -7], [RADIUS, 0]], dtype=np.int16)

    assert row(p, list(steps), Seeded(1)) == row(p, [(100, -7), (RADIUS, 0)], Seeded(1))
