"""How often the audit is wrong, by running it: never on what is shipped, always on the broken."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from ondevice.audit import mechanism
from ondevice.audit.mechanism import CHECKS, FULL, QUICK, Effort, bounds, level
from ondevice.audit.mechanism.canaries import lower_bounds
from ondevice.audit.mechanism.level import Level
from ondevice.audit.mechanism.tape import Tape
from tests.broken_mechanisms import BROKEN

RUNS, TIMES = 200, 20
STATISTICAL = tuple(level.SHARES)
LESS = Effort(
    low_bits=256, sampler=1_000, search=24, noise=(16, 128), canaries=(120, 10, 2), kills=2
)
# What a full run adds, at its own size; the rest is caught at the smaller size of a quick run.
ADDED = {"mechanism.variance", "mechanism.cross_row", "mechanism.trade_off", "mechanism.crash"}


def effort_of(check: str) -> Effort:
    return FULL if check in ADDED else QUICK


@pytest.mark.slow
def test_two_hundred_audits_of_what_is_shipped_raise_no_alarm(tmp_path: Path) -> None:
    alarms = []
    for number in range(RUNS):
        folder = tmp_path / str(number)
        folder.mkdir()
        report = mechanism.run(
            quick=False,
            folder=folder,
            randomness=Tape(b"clean %d" % number),
            only=set(CHECKS) - {"mechanism.parameters"} if number else None,  # draws nothing
            effort=LESS,
        )
        assert {one.status for one in report.findings} <= {"pass", "fail"}, report.findings
        alarms += [one.evidence for one in report.failed]

    assert alarms == []


@pytest.mark.slow
def test_a_full_audit_of_what_is_shipped_raises_no_alarm(tmp_path: Path) -> None:
    report = mechanism.run(quick=False, folder=tmp_path)

    assert {one.id: one.status for one in report.findings} == dict.fromkeys(CHECKS, "pass")
    measured = report.findings[CHECKS.index("mechanism.trade_off")].measured
    assert 1.0 < float(measured["short_stream.epsilon_at_least"]) < 4.0
    assert 2.5 < float(measured["short_stream.epsilon_at_least_gaussian"]) < 4.0


@pytest.mark.slow
def test_at_a_level_of_one_half_alarms_are_as_rare_as_the_level_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code with its level raised half a million times: bounds that lie would show."""
    monkeypatch.setattr(level, "SHARES", {k: v * 5e5 for k, v in level.SHARES.items()})
    runs, effort = RUNS, replace(LESS, sampler=300, canaries=(60, 0, 0))
    alarms = 0
    for number in range(runs):
        report = mechanism.run(
            quick=False,
            folder=tmp_path,
            randomness=Tape(b"often %d" % number),
            only=STATISTICAL,
            effort=effort,
        )
        alarms += bool(report.failed)

    assert alarms <= 0.5 * runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "check"), [(name, check) for name in BROKEN for check in BROKEN[name].caught_by]
)
def test_twenty_of_twenty(name: str, check: str, tmp_path: Path) -> None:
    """A broken mechanism is caught every time by the check made for it."""
    caught = 0
    for number in range(TIMES):
        folder = tmp_path / str(number)
        folder.mkdir()
        report = mechanism.run(
            quick=False,
            folder=folder,
            randomness=Tape(f"{name} {number}".encode()),
            subject=BROKEN[name].make(),
            only={check},
            effort=effort_of(check),
        )
        caught += [one.id for one in report.failed] == [check]

    assert caught == TIMES


@pytest.mark.slow
def test_twenty_rounded_gaussians_are_caught_in_the_full_run_too(tmp_path: Path) -> None:
    for number in range(TIMES):
        report = mechanism.run(
            quick=False,
            folder=tmp_path,
            randomness=Tape(b"rounded %d" % number),
            subject=BROKEN["rounded float Gaussian"].make(),
            only={"mechanism.sampler"},
            effort=FULL,
        )
        assert [one.id for one in report.failed] == ["mechanism.sampler"]
        assert "sigma 0.5" in report.failed[0].evidence  # the first of those it lists


@pytest.mark.parametrize("check", STATISTICAL)
def test_as_many_comparisons_are_made_as_were_planned(
    check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Level] = []
    take = Level.take

    def counted(self: Level) -> float:
        if self not in made:
            made.append(self)
        return take(self)

    monkeypatch.setattr(Level, "take", counted)
    mechanism.run(quick=False, folder=tmp_path, randomness=Tape(b"plan"), only={check}, effort=LESS)

    (one,) = made
    assert one.check == check
    assert one.used == one.planned


def test_the_lower_bound_is_one() -> None:
    """On Gaussian scores with a known curve it stays below the truth, and comes near it."""
    import numpy as np

    mu, delta = 0.8, 1e-6
    truth = bounds.gaussian_epsilon(mu, delta)
    generator = np.random.default_rng(7)
    found = []
    for _ in range(12):
        absent = generator.standard_normal(20_000)
        found.append(lower_bounds(absent[:10_000] + mu, absent[10_000:], delta))
    assert all(one.epsilon < truth for one in found)
    assert float(np.median([one.epsilon for one in found])) > 1.0
    assert mu - 0.2 < float(np.median([one.mu for one in found])) < mu
    assert sum(one.mu > mu for one in found) <= 3  # each is wrong with chance 5 % or less
    assert found[0].gaussian_epsilon == bounds.gaussian_epsilon(found[0].mu, delta)


def test_the_lower_bound_sees_a_mechanism_that_hides_nothing() -> None:
    import numpy as np

    found = lower_bounds(np.full(2_000, 9.0), np.zeros(2_000), 1e-6)

    assert found.epsilon > math.log(200)
    assert found.threshold < 9.0
