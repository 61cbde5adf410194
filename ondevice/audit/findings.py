"""What an audit found: one finding for each check, its own words and numbers kept apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ondevice.formats import canonical

Status = Literal["pass", "fail", "warn", "n/a"]
SCHEMA = 1

# id → (what is checked, what to do when it fails); an id of the mechanism is "mechanism.<name>".
CHECKS: Mapping[str, tuple[str, str]] = {
    "configuration": (
        "The configuration file says only what this program knows, within its limits.",
        "correct the line that is named: ondevice-rec config show",
    ),
    "modes": (
        "Nobody else on this machine may open the home or a file in it.",
        "take the rights away: chmod -R go= on the home",
    ),
    "keys": (
        "The keybox opens, and the words say what its key protects against.",
        "put keybox and device.key back from one backup",
    ),
    "store": (
        "Every page of the store is encrypted and authentic, and its rules hold.",
        "put store.db, keybox and device.key back from one backup",
    ),
    "ledger": (
        "The ledger's chain and codes hold, and its rows and the cap fit what was charged.",
        "put store.db, keybox and device.key back from one backup",
    ),
    "rollback": (
        "An older copy of the store is noticed; one of the whole home can't be.",
        "keep backups of the home where nobody else can put one back",
    ),
    "retention": (
        "Words older than the configured number of days have been forgotten.",
        "run any command that records, or forget by hand: ondevice-rec forget --before TIME",
    ),
    "plaintext": (
        "No word of what was recorded is readable in a file of the home.",
        "remove the file that is named: it was not written by this program",
    ),
    "catalogues": (
        "Every catalogue is the one that its publisher signed, byte for byte.",
        "remove it and add the publisher's invite file again",
    ),
    "modules": (
        "The process that holds the keys has loaded nothing that talks to a network.",
        "reinstall into an environment of its own: something adds modules to this one",
    ),
    "lock": (
        "The process that holds the keys has locked itself.",
        "run on Linux on x86-64 or 64-bit ARM, outside a container that forbids seccomp",
    ),
    "network": (
        "Tried for real: every way out of a locked process fails.",
        "do not record anything until this passes: ondevice-rec doctor",
    ),
}
_MECHANISM = (
    "The mechanism that hides single behaviours does what its proof says.",
    "reinstall the package; if it stays so, report it: the guarantee does not hold",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check.

    `evidence` has no word of what was recorded and no number that differs from run to run;
    `measured` has those numbers; `file` is the file it is about, relative to the home.
    """

    id: str
    status: Status
    evidence: str
    measured: Mapping[str, float | int | str] = field(default_factory=dict)
    file: str = ""

    @property
    def about(self) -> str:
        """What is checked, in one sentence."""
        return CHECKS.get(self.id, _MECHANISM)[0]

    @property
    def action(self) -> str:
        """What to do about a failure; "" where there is none."""
        return CHECKS.get(self.id, _MECHANISM)[1] if self.status in {"fail", "warn"} else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Everything that one audit found."""

    findings: tuple[Finding, ...]
    quick: bool

    @property
    def failed(self) -> tuple[str, ...]:
        """The ids of the checks that failed."""
        return tuple(one.id for one in self.findings if one.status == "fail")

    def as_dict(self) -> dict[str, Any]:
        """The JSON form: what is the same in every run, and `measured`, which is not."""
        checks = [
            {"id": f.id, "status": f.status, "evidence": f.evidence}
            | ({"file": f.file} if f.file else {})
            | ({"action": f.action} if f.action else {})
            for f in self.findings
        ]
        measured = {f.id: dict(f.measured) for f in self.findings if f.measured}
        return {"schema": SCHEMA, "quick": self.quick, "checks": checks, "measured": measured}

    def counts(self) -> dict[str, int]:
        """How many findings there are of each status."""
        statuses = [one.status for one in self.findings]
        return {name: statuses.count(name) for name in ("fail", "warn", "pass", "n/a")}


def as_json(audit: Audit) -> str:
    """Write `audit` as canonical JSON: the same findings are the same bytes."""
    return canonical.dump(audit.as_dict()).decode() + "\n"


def as_text(audit: Audit) -> str:
    """Write `audit` for a terminal."""
    width = max(len(one.id) for one in audit.findings)
    lines = []
    for one in audit.findings:
        lines.append(f"{one.status.upper():<4}  {one.id:<{width}}  {one.evidence}")
        if one.action:
            lines.append(f"{'':<4}  {'':<{width}}  → {one.action}")
    counted = ", ".join(f"{count} {name}" for name, count in audit.counts().items() if count)
    return "\n".join([*lines, "", counted + ("" if not audit.quick else " (quick)")]) + "\n"
