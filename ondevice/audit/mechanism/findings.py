"""What a check of the mechanism found: one finding per check, with its evidence in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["pass", "fail", "warn", "n/a"]
Measured = Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check. `measured` holds what differs from run to run."""

    id: str  # "mechanism.<name>"
    status: Status
    evidence: str  # a sentence for a person
    measured: Measured = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings of one audit of the mechanism, in the order of `CHECKS`."""

    findings: tuple[Finding, ...]
    quick: bool

    @property
    def failed(self) -> tuple[Finding, ...]:
        """Those that are impossible under the claim."""
        return tuple(one for one in self.findings if one.status == "fail")


def verdict(
    name: str, problems: list[str], *, passed: str, measured: Measured | None = None
) -> Finding:
    """Return a fail that names the first problems, or a pass."""
    if not problems:
        return Finding(id=name, status="pass", evidence=passed, measured=measured or {})
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return Finding(
        id=name, status="fail", evidence="; ".join(problems[:3]) + more, measured=measured or {}
    )
