"""The audit of one home: every check, on what is installed and what is kept here."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import clock
from ondevice.audit.findings import Audit, Finding, as_json, as_text
from ondevice.paths import Home

if TYPE_CHECKING:
    from ondevice.audit.network import Prepared
    from ondevice.privacy.stream import StreamParameters

FORMATS = ("text", "json", "html", "sarif")

Mechanism = Callable[..., list[Finding]]


def prepare() -> "Prepared | None":
    """Make ready what a locked process could not make; hand it to `audit`."""
    from ondevice.audit import network

    return network.prepare()


def audit(
    root: Path,
    *,
    quick: bool = False,
    prepared: "Prepared | None" = None,
    mechanism: Mechanism | None = None,
    loaded: Collection[str] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Audit:
    """Run every check against the home `root`. Never raises for what it finds.

    Args:
        root: of the home; one that is not there is audited as an empty one.
        quick: exact checks only.
        prepared: what `prepare` returned before this process locked itself; made here if missing.
        mechanism: measures the mechanism; what is installed, by default.
        loaded: names of the modules of the process that holds the keys; this one's, by default.
        progress: told what is being checked.
    """
    from ondevice.audit import home, network, shelves
    from ondevice.sandbox import lock
    from ondevice.service.passphrase import protection

    here, now = Home(root), clock.now()
    if prepared is None and not lock.level().enforced:
        prepared = prepare()
    progress("home")
    examined = home.examine(here, now=now, protection=lambda: protection(here).sentences)
    progress("catalogues")
    keys = home.keys_of(here) if examined.unlocked else None
    found = [
        *examined.findings,
        shelves.check(here, keys=keys, now=now, quick=quick),
    ]
    progress("network")
    found += [network.lock_of(lock.level(), lock.possible()), network.judge(prepared)]
    if prepared is not None:
        prepared.close()
    measure = mechanism or _mechanism
    found += measure(quick=quick, streams=examined.streams, progress=progress)
    # Last: by now everything that this process will ever load beside the keys is loaded.
    found.append(network.modules(sys.modules if loaded is None else loaded))
    return Audit(findings=tuple(found), quick=quick)


def _mechanism(
    *,
    quick: bool,
    streams: "tuple[StreamParameters, ...]",
    progress: Callable[[str], None],
) -> list[Finding]:
    from ondevice.audit import mechanism

    folder = Path(tempfile.mkdtemp(prefix="ondevice-rec-audit-"))
    try:
        report = mechanism.run(quick=quick, folder=folder, streams=streams, progress=progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [
        Finding(id=one.id, status=one.status, evidence=one.evidence, measured=one.measured)
        for one in report.findings
    ]


def written(found: Audit, how: str) -> str:
    """Write `found` in one of `FORMATS`."""
    if how == "json":
        return as_json(found)
    if how == "html":
        from ondevice.audit.page import as_html

        return as_html(found)
    if how == "sarif":
        from ondevice.audit.sarif import as_sarif

        return as_sarif(found)
    return as_text(found)
