"""The audit of the mechanism: what is shipped passes, and each way to break it is noticed."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ondevice.audit import mechanism
from ondevice.audit.mechanism import CHECKS, QUICK, SHIPPED, Effort, crash
from ondevice.audit.mechanism.tape import Tape
from ondevice.privacy.stream import StreamParameters
from tests.broken_mechanisms import BROKEN

SMALL = Effort(
    low_bits=512,
    sampler=4_000,
    search=60,
    noise=(16, 256),
    canaries=(1_500, 0, 0),
    kills=16,
)


def test_what_is_shipped_passes_the_quick_audit(tmp_path: Path) -> None:
    report = mechanism.run(quick=True, folder=tmp_path)

    assert tuple(one.id for one in report.findings) == CHECKS
    assert {one.id: one.evidence for one in report.failed} == {}
    assert [one.status for one in report.findings] == ["pass"] * 6 + ["n/a"] * 5
    assert all(one.evidence for one in report.findings)


def test_what_is_shipped_passes_every_check(tmp_path: Path) -> None:
    asked: list[str] = []
    report = mechanism.run(
        quick=False,
        folder=tmp_path,
        randomness=Tape(b"passes"),
        effort=Effort(
            low_bits=64, sampler=500, search=8, noise=(8, 64), canaries=(40, 6, 1), kills=3
        ),
        progress=asked.append,
    )

    assert tuple(asked) == CHECKS
    assert {one.id: one.status for one in report.findings} == dict.fromkeys(CHECKS, "pass")
    trade_off = report.findings[CHECKS.index("mechanism.trade_off")].measured
    assert trade_off["short_stream.runs"] == 80
    assert 0.0 <= float(trade_off["short_stream.epsilon_at_least"]) < 4.0


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_mechanism_is_noticed_by_the_check_made_for_it(name: str, tmp_path: Path) -> None:
    broken = BROKEN[name]
    report = mechanism.run(
        quick=False,
        folder=tmp_path,
        randomness=Tape(name.encode()),
        subject=broken.make(),
        only=broken.caught_by,
        effort=SMALL,
    )

    assert {one.id for one in report.failed} == set(broken.caught_by), report.findings


def test_only_what_is_asked_for_is_run(tmp_path: Path) -> None:
    report = mechanism.run(quick=True, folder=tmp_path, only={"mechanism.types"}, effort=QUICK)

    assert [one.id for one in report.findings] == ["mechanism.types"]
    assert not list(tmp_path.iterdir())


def test_a_person_s_own_streams_are_derived_again(tmp_path: Path) -> None:
    sound = StreamParameters.for_budget(2.0, 1e-6, 48, half_life=32)
    lying = StreamParameters.for_budget(2.0, 1e-6, 48, half_life=32)
    object.__setattr__(lying, "sigma2", sound.sigma2 // 4)  # as a damaged store might hold it

    def failed(*streams: StreamParameters) -> list[str]:
        report = mechanism.run(
            quick=True, folder=tmp_path, only={"mechanism.parameters"}, streams=streams
        )
        return [one.evidence for one in report.failed]

    assert failed(sound) == []
    assert failed(sound, lying)[0].startswith("the stream of epsilon 2, half-life 32 costs rho")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("coefficients", (16384, 8000), "coefficient 1 is not the rounded square root"),
        ("coefficients", (16384, 16384), "do not fall"),
        ("clip", 16384.0, "not a whole number"),
        ("clip", 1 << 15, "another radius"),
        ("rho", 0.2, "says 0.2"),
        ("epsilon", 3.0, "costs epsilon"),
    ],
)
def test_every_parameter_is_held_against_its_derivation(
    field: str, value: object, words: str
) -> None:
    from ondevice.audit.mechanism.parameters import wrong

    p = StreamParameters.for_budget(4.0, 1e-6, 3, half_life=2)
    assert wrong(p) == []
    object.__setattr__(p, field, value)

    assert any(words in problem for problem in wrong(p)), wrong(p)


def test_parameters_that_are_too_cheap_are_noticed(tmp_path: Path) -> None:
    def generous(epsilon: float, delta: float, dimension: int, **more: int) -> StreamParameters:
        p = StreamParameters.for_budget(epsilon, delta, dimension, **more)
        object.__setattr__(p, "sigma2", p.sigma2 // 2)
        return p

    report = mechanism.run(
        quick=True,
        folder=tmp_path,
        subject=mechanism.Mechanism(parameters=generous),
        only={"mechanism.parameters"},
    )
    assert [one.id for one in report.failed] == ["mechanism.parameters"]


def test_a_mechanism_that_raises_is_a_finding(tmp_path: Path) -> None:
    def row(*_: object) -> tuple[int, ...]:
        raise ZeroDivisionError("of course")

    report = mechanism.run(
        quick=False,
        folder=tmp_path,
        subject=mechanism.Mechanism(row=row),
        only={"mechanism.types", "mechanism.variance", "mechanism.crash"},
        effort=replace(SMALL, kills=60),
    )
    assert [one.status for one in report.findings] == ["fail"] * 3
    assert "ZeroDivisionError" in report.findings[0].evidence
    assert "ZeroDivisionError" in report.findings[2].evidence


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "traced").write_text("in the way")
    report = mechanism.run(quick=True, folder=tmp_path, only={"mechanism.trace"})

    assert [one.status for one in report.findings] == ["warn"]


def test_a_child_that_hangs_is_ended_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    forked, fork = [], os.fork

    def noted() -> int:
        child = fork()
        forked.append(child)
        return child

    def hang(*_: object) -> tuple[int, ...]:
        signal.pause()
        return ()

    monkeypatch.setattr(crash, "PATIENCE", 0.2)
    monkeypatch.setattr(os, "fork", noted)
    found = crash.check(mechanism.Mechanism(row=hang), tmp_path, Tape(b""), kills=100)

    assert found.status == "warn"
    assert forked
    for child in forked:
        with pytest.raises(ChildProcessError):
            os.waitpid(child, os.WNOHANG)


def test_without_fork_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")

    assert crash.check(SHIPPED, tmp_path, Tape(b""), kills=1).status == "n/a"


def test_a_tape_repeats_itself() -> None:
    one, two, other = Tape(b"a"), Tape(b"a"), Tape(b"b")
    first = [one.bits(5), one.bytes(3), one.bits(64), one.bytes(1 << 17)]

    assert first == [two.bits(5), two.bytes(3), two.bits(64), two.bytes(1 << 17)]
    assert other.bytes(8) != Tape(b"a").bytes(8)
    assert 0 <= first[0] < 32  # type: ignore[operator]
