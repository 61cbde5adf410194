"""Check an installation: each finding says what was seen and how to fix it."""

import os
import stat
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ondevice.config import load
from ondevice.errors import OnDeviceError
from ondevice.paths import Home, bundled
from ondevice.service.session import Session

NEEDS_CONFIGURATION = {"store", "catalogues"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check. `status` is pass, fail, warn or n/a."""

    id: str
    status: str
    evidence: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def examine(root: Path) -> list[Finding]:
    """Run every check against the home `root`. Never raises for what it finds."""
    checks: dict[str, Callable[[Path], Finding]] = {
        "python": _python,
        "configuration": _configuration,
        "encoder": _encoder,
        "samples": _samples,
        "home": _home,
        "store": _store,
        "catalogues": _catalogues,
        "lock": _lock,
        "terminal": _terminal,
    }
    found: list[Finding] = []
    for name, check in checks.items():
        if name in NEEDS_CONFIGURATION and _misconfigured(found):
            found.append(Finding(id=name, status="n/a", evidence="configuration comes first"))
            continue
        try:
            found.append(check(root))
        except OnDeviceError as error:
            found.append(Finding(id=name, status="fail", evidence=str(error), fix=error.hint))
    return found


def _misconfigured(found: list[Finding]) -> bool:
    return any(one.id == "configuration" and one.status == "fail" for one in found)


def _python(_: Path) -> Finding:
    version = ".".join(str(n) for n in sys.version_info[:3])
    return Finding(id="python", status="pass", evidence=f"Python {version}")


def _configuration(root: Path) -> Finding:
    path = Home(root).config
    load(path)
    seen = f"{path} is valid" if path.exists() else "defaults (no file)"
    return Finding(id="configuration", status="pass", evidence=seen)


def _encoder(_: Path) -> Finding:
    from ondevice.encoder.session import Encoder

    encoder = Encoder.load(bundled("encoder"))
    vector = encoder.encode(["a short text"])
    return Finding(
        id="encoder",
        status="pass",
        evidence=f"{vector.shape[1]} dimensions, digest {encoder.digest[:12]}",
    )


def _samples(_: Path) -> Finding:
    from ondevice.updates import embedded

    names = [one.id for one in embedded.installed()]
    items = sum(len(embedded.load(name).records) for name in names)
    return Finding(
        id="samples", status="pass", evidence=f"{len(names)} sample catalogues, {items} items"
    )


def _home(root: Path) -> Finding:
    if not root.exists():
        return Finding(id="home", status="pass", evidence=f"{root} is made at the first use")
    mode = stat.S_IMODE(root.stat().st_mode)
    if mode & 0o077:
        return Finding(
            id="home",
            status="fail",
            evidence=f"{root} can be read by others (mode {mode:03o})",
            fix=f"chmod 700 {root}",
        )
    if not os.access(root, os.W_OK):
        return Finding(id="home", status="fail", evidence=f"{root} cannot be written")
    return Finding(id="home", status="pass", evidence=f"{root}, mode {mode:03o}")


def _store(root: Path) -> Finding:
    if not Home(root).store.exists():
        return Finding(id="store", status="n/a", evidence="nothing recorded yet")
    with Session.open(root) as session:
        session.store.verify()
        rows = session.store.behaviours.count()
    return Finding(
        id="store", status="pass", evidence=f"{rows} behaviours, encrypted, ledger intact"
    )


def _catalogues(root: Path) -> Finding:
    from ondevice.service.catalogues import verify

    with Session.open(root) as session:
        own = [e for e in verify(session) if e.origin != "sample"]
    stale = [e.id for e in own if e.state != "ready"]
    if stale:
        return Finding(
            id="catalogues",
            status="warn",
            evidence=f"stale: {', '.join(stale)}",
            fix="ondevice-rec catalogue update",
        )
    return Finding(id="catalogues", status="pass", evidence=f"{len(own)} of your own, all verified")


def _lock(_: Path) -> Finding:
    from ondevice.sandbox import lock

    here, possible = lock.level(), lock.possible()
    best = here if here.enforced else possible
    if not best.enforced:
        return Finding(
            id="lock",
            status="warn",
            evidence=best.words(),
            fix="use Linux on x86-64 or 64-bit ARM, outside a container that forbids seccomp",
        )
    said = best.words() if here.enforced else f"of every command: {best.words()}"
    return Finding(id="lock", status="pass" if best.files else "warn", evidence=said)


def _terminal(_: Path) -> Finding:
    if not sys.stdout.isatty():
        return Finding(id="terminal", status="n/a", evidence="output is not a terminal")
    term = os.environ.get("TERM", "")
    if term in {"", "dumb"}:
        return Finding(
            id="terminal",
            status="warn",
            evidence=f"TERM is '{term}': the TUI cannot draw",
            fix="set TERM, for example: export TERM=xterm-256color",
        )
    return Finding(id="terminal", status="pass", evidence=f"TERM={term}")
