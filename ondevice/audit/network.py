"""The lock, proved live: every way out is tried against sinks on loopback, open and then locked.

`prepare` comes before this process locks itself, since a locked one can neither listen nor start
a child; `judge` comes after.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ondevice.audit.attempts import Sinks
from ondevice.audit.findings import Finding, Status
from ondevice.errors import OnDeviceError
from ondevice.sandbox import engine, lock

FORBIDDEN = (
    *("urllib3", "requests", "httpx", "http.client", "huggingface_hub", "aiohttp", "aiomqtt"),
    *(
        "urllib.request",
        "http.server",
        "ftplib",
        "smtplib",
        "xmlrpc.client",
        "ondevice.updates.fetch",
    ),
)
_THROUGH, _REFUSED = "through", frozenset({"EPERM", "EACCES", "ENOSYS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Sinks that listen, and a child that waits to try them."""

    sinks: Sinks
    child: engine.Child

    @property
    def handles(self) -> set[int]:
        """The descriptors that this process's own lock has to leave open."""
        return self.sinks.handles | {self.child.channel.handle}

    def close(self) -> None:
        """End the child and the sinks."""
        self.child.close()
        self.sinks.close()


def prepare(*, locked: bool = True) -> Prepared | None:
    """Listen on loopback and start the child; None where no lock is known for this system.

    Args:
        locked: False for a child that doesn't lock itself, to show that this is noticed.

    Raises:
        OnDeviceError: this process is locked already.
    """
    if not lock.possible().calls:
        return None
    sinks = Sinks()
    try:
        child = engine.spawn("ondevice.audit.attempts:run", None, **sinks.addresses, locked=locked)
    except OnDeviceError:
        sinks.close()
        raise
    return Prepared(sinks=sinks, child=child)


def judge(prepared: Prepared | None) -> Finding:
    """Let the child try everything, and say what came through."""
    if prepared is None:
        return Finding(id="network", status="n/a", evidence=lock.Level().words())
    sinks, channel = prepared.sinks, prepared.child.channel
    try:
        before, _ = channel.receive()
        reached = sinks.seen()
        channel.send({})
        after, _ = channel.receive()
    except OnDeviceError as error:
        said = f"the child that tries the ways out has failed: {error}"
        return Finding(id="network", status="fail", evidence=said)
    return _verdict(before["outcomes"], after["outcomes"], after["families"], reached, sinks.seen())


def _verdict(
    before: Mapping[str, str],
    after: Mapping[str, str],
    families: list[Any],
    reached: int,
    leaked: int,
) -> Finding:
    measured = {"arrived open": reached, "arrived locked": leaked, "ways": len(after)}
    open_ways = [name for name, outcome in after.items() if outcome not in _REFUSED]
    if open_ways or leaked or families:
        said = ", ".join(open_ways) or f"socket families {families}"
        return Finding(
            id="network",
            status="fail",
            evidence=f"not refused by the lock: {said}",
            measured=measured,
        )
    proved = [name for name in before if before[name] == _THROUGH]
    if not reached or "udp" not in proved:
        said = "the sinks could not be reached without the lock either, so nothing is proved"
        return Finding(id="network", status="warn", evidence=said, measured=measured)
    closed = [name for name in before if before[name] != _THROUGH]
    said = f"refused by the kernel, with nothing at the sinks: {', '.join(proved)}"
    said += f"; closed on this system anyway: {', '.join(closed)}" if closed else ""
    return Finding(id="network", status="pass", evidence=said, measured=measured)


def lock_of(level: lock.Level, possible: lock.Level) -> Finding:
    """Say what is enforced on the process that holds the keys: this one."""
    if level.enforced:
        status: Status = "pass" if level.files else "warn"
        return Finding(id="lock", status=status, evidence=level.words())
    if possible.enforced:
        said = "this process did not lock itself; the commands of ondevice-rec do"
        return Finding(id="lock", status="warn", evidence=said)
    return Finding(id="lock", status="n/a", evidence=possible.words())


def modules(loaded: Collection[str]) -> Finding:
    """Look for what talks to a network among the modules of this process."""
    found = [name for name in FORBIDDEN if name in loaded]
    if found:
        said = f"loaded beside the keys: {', '.join(found)}"
        return Finding(id="modules", status="fail", evidence=said)
    said = f"not loaded beside the keys: {', '.join(FORBIDDEN)}"
    return Finding(id="modules", status="pass", evidence=said, measured={"modules": len(loaded)})
