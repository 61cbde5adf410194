"""The filter of system calls: no way out, no other program, no look into another process.

A filter can only read the numbers of a call, never what an argument points to. Hence `sendmsg`,
whose address hides behind a pointer, goes altogether; `sendto` stays without an address, which is
what `send` on a connected pair is.
"""

import errno
import struct
from collections.abc import Collection

from ondevice.sandbox import kernel
from ondevice.sandbox.numbers import X32, Architecture

# What no locked process may do. `NETWORK` and `PROGRAMS` can be left to the broker's parts.
NETWORK = frozenset({"connect", "bind", "socket", "sendmsg", "sendmmsg"})
PROGRAMS = frozenset({"execve", "execveat"})
OTHERS = frozenset(
    {
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "pidfd_open",
        "pidfd_getfd",
        "unshare",
        "setns",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "keyctl",
        "add_key",
        "request_key",
        "mount",
        "umount2",
        "pivot_root",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "move_mount",
        "open_tree",
        "open_by_handle_at",
    }
)

MSG_FASTOPEN = 0x20000000
AF_UNIX = 1
NAMESPACES = 0x7E020000  # CLONE_NEW…, of `clone`
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # would type into the terminal, for the shell to run later

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_SET_FILTER, _ALL_THREADS = 1, 1
_LOAD, _RETURN = 0x20, 0x06
_EQUAL, _AT_LEAST, _ANY_BIT = 0x15, 0x35, 0x45
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, value


def program(architecture: Architecture, refused: Collection[str]) -> list[Instruction]:
    """Return the filter that refuses the calls named `refused`, and the arguments below.

    A call of another architecture (i386, x32, 32-bit ARM) ends the process: its numbers would
    mean other calls.
    """
    calls = architecture.calls
    built: list[Instruction] = [
        _load(_ARCHITECTURE),
        (_EQUAL, 1, 0, architecture.audit),
        _end(_KILL),
        _load(_NUMBER),
    ]
    if architecture.x32:
        built += [(_AT_LEAST, 0, 1, X32), _end(_KILL)]  # jump if greater or equal
    for name in sorted(refused, key=calls.__getitem__):
        built += [(_EQUAL, 0, 1, calls[name]), _refuse(errno.EPERM)]
    # The C library falls back to `clone`, whose flags can be seen.
    built += [(_EQUAL, 0, 1, calls["clone3"]), _refuse(errno.ENOSYS)]
    built += _when(calls["clone"], 0, [(_ANY_BIT, 0, 1, NAMESPACES)])
    built += _when(calls["ioctl"], 1, [(_EQUAL, 0, 1, TIOCSTI)])
    built += _when(calls["ioctl"], 1, [(_EQUAL, 0, 1, TIOCLINUX)])
    built += _when(calls["socketpair"], 0, [(_EQUAL, 1, 0, AF_UNIX)])
    if NETWORK & set(refused):
        built += _when(calls["sendto"], 3, [(_ANY_BIT, 0, 1, MSG_FASTOPEN)])
        built += _when(calls["sendto"], 4, [(_EQUAL, 1, 0, 0)])  # an address: its low half,
        built += _when(calls["sendto"], 4, [(_EQUAL, 1, 0, 0)], high=True)  # and its high one
    return [*built, _end(_ALLOW)]


def install(architecture: Architecture, refused: Collection[str]) -> None:
    """Put the filter on every thread of this process, for good; children inherit it.

    Raises:
        OSError: the kernel, or a container around us, does not allow it.
    """
    built = program(architecture, refused)
    code = kernel.buffer(b"".join(struct.pack("<HBBI", *one) for one in built))
    head = kernel.buffer(struct.pack("<H6xQ", len(built), kernel.address(code)))
    kernel.prctl(kernel.NO_NEW_PRIVILEGES, 1)
    left = kernel.call(architecture.calls["seccomp"], _SET_FILTER, _ALL_THREADS, head)
    if left:
        raise OSError(errno.EBUSY, f"thread {left} has another filter")


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _end(action: int) -> Instruction:
    return (_RETURN, 0, 0, action)


def _refuse(code: int) -> Instruction:
    return _end(_ERRNO | code)


def _when(
    number: int, argument: int, test: list[Instruction], *, high: bool = False
) -> list[Instruction]:
    """Refuse the call `number` when `test`, on half of its argument, falls through."""
    inner = [_load(_ARGUMENTS + 8 * argument + 4 * high), *test, _refuse(errno.EPERM)]
    return [(_EQUAL, 0, len(inner), number), *inner, _load(_NUMBER)]
