"""What PROOF.md says of the audit, computed again; and that each obligation names its tests."""

import ast
import math
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from ondevice.audit import mechanism
from ondevice.audit.mechanism import FULL, QUICK, bounds, canaries, noise, sampling
from ondevice.audit.mechanism.level import FAMILY, SHARES, Level
from ondevice.audit.mechanism.tape import Tape
from ondevice.errors import IntegrityError
from ondevice.privacy.discrete_gaussian import sample
from ondevice.privacy.stream import StreamParameters

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "ondevice" / "privacy" / "PROOF.md").read_text(encoding="utf-8")
OBLIGATION = re.compile(
    r"^- \*\*\[(A\d+)\]\*\*(.*?)(?=^- \*\*\[|^## |\Z)", re.MULTILINE | re.DOTALL
)
TEST = re.compile(r"^  Test: (tests/\S+\.py)::(\w+)$", re.MULTILINE)
ROW = re.compile(r"^  \| (\w+) \| (\S+) \| (?:.*= )?(\d+) \| (\S+) \|$", re.MULTILINE)


def test_each_obligation_names_tests_that_are_there() -> None:
    found = OBLIGATION.findall(TEXT)

    assert [name for name, _ in found] == [f"A{n}" for n in range(1, len(found) + 1)]
    assert len(found) >= 8
    for name, body in found:
        tests = TEST.findall(body)
        assert tests, name
        for file, function in tests:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, name


def test_what_the_code_cites_is_an_obligation() -> None:
    known = {name for name, _ in OBLIGATION.findall(TEXT)}
    cited = {
        number
        for path in (ROOT / "ondevice" / "audit" / "mechanism").rglob("*.py")
        for number in re.findall(r"\[(A\d+)\]", path.read_text(encoding="utf-8"))
    }

    assert cited
    assert cited <= known


def test_the_shares_add_up_to_less_than_one_in_a_million() -> None:
    assert FAMILY == 1e-6
    assert sum(Fraction(str(share)) for share in SHARES.values()) <= Fraction(1, 1_000_000)
    assert set(SHARES) < set(mechanism.CHECKS)


def test_the_table_is_what_a_full_run_does(tmp_path: Path) -> None:
    """With few draws, but as many rows, canaries and cells as a full run has."""
    assert FULL.noise[0] == 96
    report = mechanism.run(
        quick=False,
        folder=tmp_path,
        randomness=Tape(b"table"),
        only=SHARES,
        effort=mechanism.Effort(
            low_bits=64, sampler=200, search=0, noise=(96, 16), canaries=(4, 2, 1)
        ),
    )
    measured = {one.id.partition(".")[2]: one.measured for one in report.findings}
    stated = {
        name: (float(share), int(n), float(each)) for name, share, n, each in ROW.findall(TEXT)
    }

    assert set(stated) == {name.partition(".")[2] for name in SHARES}
    for name, (share, comparisons, each) in stated.items():
        assert share == SHARES[f"mechanism.{name}"]
        assert share / comparisons == pytest.approx(each, rel=1e-3)
        assert float(measured[name]["level"]) == pytest.approx(share / comparisons)


def test_more_comparisons_than_planned_are_refused() -> None:
    level = Level("mechanism.fit", planned=1)
    assert level.impossible(1e-8)

    with pytest.raises(IntegrityError, match="planned 1"):
        level.impossible(1e-8)


def test_discrete_rows_are_as_near_to_continuous_ones_as_stated() -> None:
    """Total variation at a small sigma, summed; it scales with 1/sigma."""
    sigma = 50.0
    weights = {z: math.exp(-z * z / (2 * sigma**2)) for z in range(-600, 601)}
    total = math.fsum(weights.values())
    parts, apart = 200, 0.0
    for z, weight in weights.items():
        for k in range(parts):
            x = z - 0.5 + (k + 0.5) / parts
            density = math.exp(-x * x / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
            apart += abs(weight / total - density) / parts / 2
    assert apart < 0.21 / sigma

    for canary in canaries.CANARIES:
        p = StreamParameters.for_budget(4.0, 1e-6, len(canary.vector), half_life=canary.half_life)
        draws = p.dimension * (p.band + canary.before)
        assert draws <= 64
        assert draws * 0.21 / math.sqrt(p.sigma2) < canaries.SPARE


def test_the_powers_are_what_is_stated() -> None:
    draws = FULL.noise[0] * FULL.noise[1]
    assert _halved_variance(draws) > 640
    assert _halved_trade_off(FULL.canaries[0]) > 42
    pair = _largest(
        lambda x: bounds.product_tail(x * 1024, 1024), SHARES["mechanism.cross_row"] / 4575
    )
    assert (1 - pair) / math.sqrt(2 / 1024) > 17
    sigma = math.sqrt(StreamParameters.for_budget(4.0, 1e-6, 1, half_life=2).sigma2)
    chance = 2 * draws * (1 + noise.SPARE) / (sigma * math.sqrt(2 * math.pi))
    assert bounds.repeats_tail(61, draws, chance) < SHARES["mechanism.cross_row"] / 4575
    assert draws // 10 == 9_830
    half, one = Fraction(1, 2), Fraction(1)
    assert _rounded(half, QUICK.sampler) > 8
    assert _rounded(half, FULL.sampler) > 94
    assert _rounded(one, FULL.sampler) > 8


def test_small_draws_are_in_the_cells_that_are_counted() -> None:
    for sigma in sampling.SIGMAS:
        table = sampling.probabilities(sigma)
        assert math.fsum(table.values()) == pytest.approx(1.0, abs=1e-14)
        assert table[1] == table[-1]
        inside = sum(abs(z) <= max(table) for z in sample(sigma * sigma, 500, Tape(b"cells")))
        assert inside >= 495


def _largest(bound: Callable[[float], float], level: float) -> float:
    """The largest x in [0, 1] that does not fail."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if bound(middle) >= level else (low, middle)
    return low


def _halved_variance(n: int) -> float:
    drop = _largest(lambda x: bounds.chi_square_tail(n * (1 - x) + 1e-9, n), 1e-7)
    return (1 - drop - 0.25) / (0.25 * math.sqrt(2 / n))


def _halved_trade_off(n: int) -> float:
    """At the best threshold; both counts at their expectation."""
    mu, each = math.sqrt(2 * 0.31106), SHARES["mechanism.trade_off"] / 96 / 2
    margins = []
    for threshold in canaries.THRESHOLDS:
        false = 1 - bounds.NORMAL.cdf(2 * threshold)
        true = 1 - bounds.NORMAL.cdf(2 * (threshold - mu))
        low, _ = bounds.chernoff_limits(round(true * n), n, each)
        _, high = bounds.chernoff_limits(round(false * n), n, each)
        most = bounds.trade_off(high, mu)
        slope = (bounds.trade_off(min(1.0, high + 1e-4), mu) - most) / 1e-4
        spread = math.hypot(
            math.sqrt(true * (1 - true) / n), slope * math.sqrt(false * (1 - false) / n)
        )
        margins.append((low - most) / spread)
    return max(margins)


def _rounded(sigma: Fraction, n: int) -> float:
    """How far the count of zeros of a rounded Gaussian is beyond the threshold."""
    due = sampling.probabilities(sigma)[0]
    given = 2 * bounds.NORMAL.cdf(0.5 / float(sigma)) - 1
    drop = _largest(
        lambda x: bounds.binomial_tail(math.floor(n * due * (1 - x)), n, due),
        SHARES["mechanism.sampler"] / 37,
    )
    return (due * (1 - drop) - given) / math.sqrt(given * (1 - given) / n)
