"""The audit of the mechanism: the shipped code, run on canaries in a throw-away store.

A check fails only on what is impossible under the claim: exact checks on a wrong number, the
statistical ones together at most once in a million audits of a sound mechanism ([A1] in
../../privacy/PROOF.md). What is claimed, measured, and beyond measuring: docs/mechanism-audit.md.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ondevice.audit.mechanism import (
    canaries,
    clocked,
    crash,
    noise,
    parameters,
    sampling,
    sensitivity,
    trace,
)
from ondevice.audit.mechanism.findings import Finding, Report, verdict
from ondevice.audit.mechanism.subject import SHIPPED, Mechanism
from ondevice.errors import IntegrityError, OnDeviceError
from ondevice.privacy.randomness import Randomness, SystemRandomness
from ondevice.privacy.stream import StreamParameters

__all__ = ["CHECKS", "FULL", "QUICK", "SHIPPED", "Effort", "Finding", "Mechanism", "Report", "run"]

QUICK_CHECKS = (
    "mechanism.parameters",
    "mechanism.types",
    "mechanism.low_bits",
    "mechanism.sampler",
    "mechanism.sensitivity",
    "mechanism.trace",
)
FULL_CHECKS = (
    "mechanism.variance",
    "mechanism.fit",
    "mechanism.cross_row",
    "mechanism.trade_off",
    "mechanism.crash",
)
CHECKS = QUICK_CHECKS + FULL_CHECKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is drawn. The level of false alarms does not depend on it; what is seen does."""

    low_bits: int  # draws, at most 4,096
    sampler: int  # draws at each sigma
    search: int  # rounds
    noise: tuple[int, int] = (0, 0)  # rows, coordinates
    canaries: tuple[int, int, int] = (0, 0, 0)  # runs in each world, by canary
    kills: int = 0


QUICK = Effort(low_bits=512, sampler=4_000, search=600)
FULL = Effort(
    low_bits=2_048,
    sampler=200_000,
    search=5_000,
    noise=(96, 1_024),
    canaries=(15_000, 1_000, 150),
    kills=80,
)


def run(
    *,
    quick: bool,
    folder: Path,
    randomness: Randomness | None = None,
    subject: Mechanism = SHIPPED,
    streams: Sequence[StreamParameters] = (),
    only: Collection[str] | None = None,
    effort: Effort | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Audit `subject`.

    Args:
        quick: exact checks only, about a second; the others are reported as "n/a".
        folder: an empty, throw-away folder. Homes of canaries are made in it and left there.
        randomness: the system's by default.
        subject: what is audited; what is installed by default.
        streams: public parameters of the person's own streams, to be derived again too.
        only: ids of the checks to run; all by default. The others are left out.
        effort: how much is drawn; `QUICK` or `FULL` by default.
        progress: told the id of each check before it runs.
    """
    audit = _Audit(
        subject=subject,
        folder=folder,
        randomness=randomness or SystemRandomness(),
        streams=streams,
        effort=effort or (QUICK if quick else FULL),
    )
    findings = []
    for name in CHECKS:
        if only is not None and name not in only:
            continue
        if quick and name in FULL_CHECKS:
            findings.append(
                Finding(id=name, status="n/a", evidence="measured by the full audit only")
            )
            continue
        if progress is not None:
            progress(name)
        findings.append(_guarded(name, audit))
    return Report(findings=tuple(findings), quick=quick)


@dataclass(frozen=True, kw_only=True)
class _Audit:
    subject: Mechanism
    folder: Path
    randomness: Randomness
    streams: Sequence[StreamParameters]
    effort: Effort

    @cached_property
    def noise(self) -> noise.Noise:
        """One table of noise for the three checks that read it."""
        rows, coordinates = self.effort.noise
        return noise.draw(self.subject, self.randomness, rows=rows, coordinates=coordinates)

    def finding(self, name: str) -> Finding:
        """Run one check."""
        effort = self.effort
        given = (self.subject, self.randomness)
        checks: dict[str, Callable[[], Finding]] = {
            "mechanism.parameters": lambda: parameters.check(self.subject, self.streams),
            "mechanism.types": lambda: sampling.check_types(*given),
            "mechanism.low_bits": lambda: sampling.check_low_bits(*given, draws=effort.low_bits),
            "mechanism.sampler": lambda: sampling.check_sampler(*given, draws=effort.sampler),
            "mechanism.sensitivity": lambda: sensitivity.check(*given, rounds=effort.search),
            "mechanism.trace": lambda: _trace(self.subject, self.folder, self.randomness),
            "mechanism.variance": lambda: noise.check_variance(self.noise),
            "mechanism.fit": lambda: noise.check_fit(self.noise),
            "mechanism.cross_row": lambda: noise.check_cross_row(self.noise),
            "mechanism.trade_off": lambda: canaries.check(*given, runs=effort.canaries),
            "mechanism.crash": lambda: crash.check(
                self.subject, self.folder, self.randomness, kills=effort.kills
            ),
        }
        return checks[name]()


def _trace(subject: Mechanism, folder: Path, randomness: Randomness) -> Finding:
    """Follow rows that come at behaviours, and rows that come at public times."""
    found = trace.check(subject, folder, randomness)
    if found.status != "pass":
        return found
    problems = clocked.problems(subject, folder, randomness)
    passed = f"{found.evidence}; days that ended got one row each, and no behaviour moved one"
    return verdict(found.id, problems, passed=passed, measured=found.measured)


def _guarded(name: str, audit: _Audit) -> Finding:
    """Turn what stops a check into a finding: a mechanism that breaks is no surprise here."""
    try:
        return audit.finding(name)
    except (IntegrityError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        evidence = f"the mechanism broke while it was looked at: {type(error).__name__}: {error}"
        return Finding(id=name, status="fail", evidence=evidence)
    except (OnDeviceError, OSError) as error:
        return Finding(id=name, status="warn", evidence=f"this could not be measured: {error}")
