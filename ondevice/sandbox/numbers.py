"""Numbers of the kernel's interface, for each architecture that the lock knows.

Checked against the kernel's own headers in tests/unit/test_sandbox_numbers.py.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

X32 = 0x40000000  # marks a call of the x32 interface, which x86-64 serves beside its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One architecture: how the kernel names it in a filter, and the numbers of its calls."""

    name: str
    audit: int  # AUDIT_ARCH_…
    x32: bool  # whether calls of the x32 interface have to be told apart
    calls: Mapping[str, int]


# Since Linux 5.1 new calls have one number everywhere.
_COMMON = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "pidfd_getfd": 438,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}

X86_64 = Architecture(
    name="x86_64",
    audit=0xC000003E,
    x32=True,
    calls=MappingProxyType(
        _COMMON
        | {
            "ioctl": 16,
            "socket": 41,
            "connect": 42,
            "sendto": 44,
            "sendmsg": 46,
            "bind": 49,
            "socketpair": 53,
            "clone": 56,
            "execve": 59,
            "ptrace": 101,
            "pivot_root": 155,
            "mount": 165,
            "umount2": 166,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "unshare": 272,
            "perf_event_open": 298,
            "open_by_handle_at": 304,
            "sendmmsg": 307,
            "setns": 308,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "seccomp": 317,
            "bpf": 321,
            "execveat": 322,
            "userfaultfd": 323,
        }
    ),
)

AARCH64 = Architecture(
    name="aarch64",
    audit=0xC00000B7,
    x32=False,
    calls=MappingProxyType(
        _COMMON
        | {
            "ioctl": 29,
            "umount2": 39,
            "mount": 40,
            "pivot_root": 41,
            "unshare": 97,
            "ptrace": 117,
            "socket": 198,
            "socketpair": 199,
            "bind": 200,
            "connect": 203,
            "sendto": 206,
            "sendmsg": 211,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "clone": 220,
            "execve": 221,
            "perf_event_open": 241,
            "open_by_handle_at": 265,
            "setns": 268,
            "sendmmsg": 269,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "seccomp": 277,
            "bpf": 280,
            "execveat": 281,
            "userfaultfd": 282,
        }
    ),
)


def here() -> Architecture | None:
    """Return this process's architecture; None where the lock can't be enforced."""
    if sys.platform != "linux" or sys.maxsize < 1 << 32:
        return None
    known = {"x86_64": X86_64, "amd64": X86_64, "aarch64": AARCH64, "arm64": AARCH64}
    return known.get(os.uname().machine)
