"""The audit as SARIF 2.1.0, for tools that collect findings. URIs are relative to the home."""

import json
from typing import Any

from ondevice import __version__
from ondevice.audit.findings import Audit, Finding

_BASE = "HOME"
# status → (kind, level); a level other than "none" goes with the kind "fail" only
_KINDS = {
    "fail": ("fail", "error"),
    "warn": ("fail", "warning"),
    "pass": ("pass", "none"),
    "n/a": ("notApplicable", "none"),
}


def as_sarif(audit: Audit) -> str:
    """Write `audit`; the same findings are the same bytes."""
    rules = [_rule(one) for one in audit.findings]
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "ondevice-rec audit",
                        "version": __version__,
                        "semanticVersion": __version__,
                        "rules": rules,
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {
                    _BASE: {"description": {"text": "The home that was audited."}}
                },
                "invocations": [{"executionSuccessful": True}],
                "results": [_result(one, n) for n, one in enumerate(audit.findings)],
            }
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def _rule(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "name": "".join(word.title() for word in finding.id.replace("_", ".").split(".")),
        "shortDescription": {"text": finding.about},
    } | ({"help": {"text": finding.action}} if finding.action else {})


def _result(finding: Finding, index: int) -> dict[str, Any]:
    kind, level = _KINDS[finding.status]
    found: dict[str, Any] = {
        "ruleId": finding.id,
        "ruleIndex": index,
        "kind": kind,
        "level": level,
        "message": {"text": finding.evidence},
    }
    if finding.file:
        place = {"uri": finding.file, "uriBaseId": _BASE}
        found["locations"] = [{"physicalLocation": {"artifactLocation": place}}]
    if finding.measured:
        found["properties"] = {"measured": dict(finding.measured)}
    return found
