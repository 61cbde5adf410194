"""What any locked process has to read: the program, Python, the system's libraries, terminals."""

import os
import sys
from pathlib import Path

from ondevice.sandbox.landlock import READ, TERMINAL, Rule

_PACKAGE = Path(__file__).resolve().parents[1]
# Libraries, terminal descriptions, time zones; what the libraries ask about the machine.
_SYSTEM = (
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/nix/store"),
    *("/usr/share/terminfo", "/usr/share/zoneinfo", "/usr/share/locale", "/lib/terminfo"),
    *("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/etc/timezone"),
    *("/etc/terminfo", "/etc/locale.alias", "/etc/passwd", "/etc/nsswitch.conf"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/sys/vm", "/proc/sys/kernel"),
    *("/proc/stat", "/proc/filesystems", "/sys/devices", "/sys/bus/pci", "/sys/fs/cgroup"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random")


def rules() -> list[Rule]:
    """Return what Python and its libraries need to read, and the terminals of this process."""
    found = [Path(place) for place in (*_SYSTEM, *_python())]
    found += [_PACKAGE, _PACKAGE.parent / "models"]  # `models`: a checkout's, see paths.bundled
    devices = [Path(place) for place in (*_DEVICES, "/dev/tty", *_terminals())]
    return [*(Rule(p, READ) for p in found), *(Rule(p, TERMINAL) for p in devices)]


def _python() -> list[str]:
    """Where this interpreter loads code from; not the working folder, which is anybody's."""
    places = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    places += [place for place in sys.path[1:] if place]
    home = Path.home()
    return [p for p in dict.fromkeys(places) if Path(p).is_absolute() and not _holds(p, home)]


def _holds(place: str, home: Path) -> bool:
    """Whether `place` is the person's whole folder, or a folder around it."""
    return Path(place) == home or (Path(place) in home.parents)


def _terminals() -> list[str]:
    return [os.ttyname(handle) for handle in range(3) if _is_terminal(handle)]


def _is_terminal(handle: int) -> bool:
    try:
        return os.isatty(handle) and bool(os.ttyname(handle))
    except OSError:  # a terminal of another namespace has no name here
        return False
