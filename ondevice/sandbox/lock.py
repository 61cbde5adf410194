"""Lock this process: no network, no other program, no file but those it was given (SECURITY 4).

In this order: Landlock while there is one thread, inherited descriptors closed, no core dumps,
then the filter of system calls on every thread. It can't be taken back.

Where the kernel has no Landlock the filter holds alone; where there is neither, nothing is
enforced. `Level` says which, and nothing here claims more.
"""

import os
import resource
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ondevice.errors import OnDeviceError
from ondevice.sandbox import kernel, landlock, numbers, seccomp, surroundings
from ondevice.sandbox.landlock import CHANGE, READ, REMOVE_DIR, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What stays allowed. Paths that are not there when the lock is applied stay closed."""

    change: tuple[Path, ...] = ()  # folders, or files: read, write, make, remove
    read: tuple[Path, ...] = ()
    empty: tuple[Path, ...] = ()  # folders out of which an empty folder may be removed
    keep: Collection[int] = field(default=frozenset())  # descriptors besides 0, 1 and 2
    network: bool = False  # for the broker alone
    surroundings: bool = True  # whether more of Python may be loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What is enforced on this process."""

    architecture: str = ""  # "": no lock is known for this system
    files: int = 0  # version of Landlock; 0: any file that the person may open
    calls: bool = False  # the filter of system calls: network, programs, other processes
    dumps: bool = False  # no core dump, no look into memory by another process

    @property
    def enforced(self) -> bool:
        """Whether the network is closed."""
        return self.calls

    def words(self) -> str:
        """Say it to a person."""
        if not self.calls:
            return "not enforced here: this system lets no program lock itself in a way we know"
        if not self.files:
            return (
                "network, other programs and other processes are closed by the kernel; "
                "files are not: this kernel has no Landlock"
            )
        return (
            "network, other programs, other processes and all files but its own "
            f"are closed by the kernel (seccomp, Landlock {self.files})"
        )


_now = Level()


def level() -> Level:
    """Return what `apply` has enforced on this process so far."""
    return _now


def possible() -> Level:
    """Return what `apply` would enforce, as far as can be known without doing it."""
    architecture = numbers.here()
    if architecture is None:
        return Level()
    return Level(
        architecture=architecture.name,
        files=landlock.version(architecture),
        calls=_has_filters(),
        dumps=True,
    )


def apply(plan: Plan) -> Level:
    """Lock this process for good and return what holds.

    Raises:
        OnDeviceError: there is more than one thread already, or the kernel refused what it has:
            better nothing than less than was said.
    """
    global _now  # noqa: PLW0603  # a fact about the process, not about a value
    architecture = numbers.here()
    if architecture is None:
        return _now
    alone = len(kernel.threads()) == 1
    if not alone and landlock.version(architecture):
        raise OnDeviceError("too late to lock this process: it has other threads already")
    try:
        files = landlock.restrict(architecture, _rules(plan), network=plan.network)
        close_inherited(plan.keep)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        kernel.prctl(kernel.DUMPABLE, 0)
        calls = _filter(architecture, refused(network=plan.network))
    except OSError as error:
        raise OnDeviceError(
            f"the kernel did not let this process lock itself: {error.strerror}",
            hint="see what it allows: ondevice-rec doctor",
        ) from error
    _now = Level(architecture=architecture.name, files=files, calls=calls, dumps=True)
    return _now


def filter_calls(keep: Collection[int]) -> bool:
    """Apply the part of the lock that reaches threads which are there already: all but Landlock.

    Returns:
        Whether the filter of system calls holds.

    Raises:
        OSError: the kernel refused.
    """
    architecture = numbers.here()
    if architecture is None:
        return False
    close_inherited(keep)
    return _filter(architecture, refused(network=False))


def refused(*, network: bool) -> frozenset[str]:
    """Return the calls that are refused, with or without those of the network."""
    rest = seccomp.OTHERS | seccomp.PROGRAMS
    return rest if network else rest | seccomp.NETWORK


def close_inherited(keep: Collection[int]) -> None:
    """Close every descriptor but 0, 1, 2 and `keep`."""
    last = 3
    for handle in sorted({one for one in keep if one >= last}):
        os.closerange(last, handle)
        last = handle + 1
    os.closerange(last, 1 << 20)


def _rules(plan: Plan) -> Iterable[Rule]:
    if plan.surroundings:
        yield from surroundings.rules()
    yield from (Rule(path, READ) for path in plan.read)
    yield from (Rule(path, CHANGE) for path in plan.change)
    yield from (Rule(path, REMOVE_DIR) for path in plan.empty)


def _filter(architecture: numbers.Architecture, names: frozenset[str]) -> bool:
    """Put the filter in place; False where the kernel knows none (it says so, we pass it on)."""
    if not _has_filters():
        return False
    seccomp.install(architecture, names)
    return True


def _has_filters() -> bool:
    return Path("/proc/sys/kernel/seccomp/actions_avail").exists()
