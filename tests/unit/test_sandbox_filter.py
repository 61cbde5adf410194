"""The filter itself, run instruction by instruction, for both architectures."""

import errno
from collections.abc import Sequence

import pytest

from ondevice.sandbox import lock, seccomp
from ondevice.sandbox.numbers import AARCH64, X86_64, Architecture

ALLOW, KILL = "allow", "kill"
I386, ARM = 0x40000003, 0x40000028


def decide(
    architecture: Architecture,
    name: str | int,
    *arguments: int,
    audit: int | None = None,
    network: bool = False,
) -> str | int:
    """Run the filter on one call; return "allow", "kill", or the errno it answers."""
    number = architecture.calls[name] if isinstance(name, str) else name
    told = architecture.audit if audit is None else audit
    words = _words(number, told, arguments)
    built = seccomp.program(architecture, lock.refused(network=network))
    at, value = 0, 0
    while True:
        code, yes, no, operand = built[at]
        at += 1
        if code == 0x20:
            value = words[operand // 4]
        elif code == 0x06:
            action = {0x7FFF0000: ALLOW, 0x80000000: KILL}
            return action.get(operand, operand & 0xFFFF)
        else:
            holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}
            at += yes if holds[code] else no


def _words(number: int, audit: int, arguments: Sequence[int]) -> list[int]:
    words = [number & 0xFFFFFFFF, audit, 0, 0]
    for argument in [*arguments, *[0] * (6 - len(arguments))]:
        words += [argument & 0xFFFFFFFF, argument >> 32]
    return words


both = pytest.mark.parametrize("machine", [X86_64, AARCH64], ids=lambda one: str(one.name))
ADDRESS = 0x7FFC_0000_0000  # its low half is zero: both halves have to be looked at


@both
@pytest.mark.parametrize("name", sorted(lock.refused(network=False)))
def test_what_is_refused_is_refused(machine: Architecture, name: str) -> None:
    assert decide(machine, name) == errno.EPERM


@both
def test_what_a_program_needs_is_left(machine: Architecture) -> None:
    for name in ("clone", "ioctl", "seccomp"):
        assert decide(machine, name) == ALLOW
    assert decide(machine, "clone", 0x3D0F00) == ALLOW  # what starts a thread
    assert decide(machine, "socketpair", 1) == ALLOW
    assert decide(machine, "sendto", 3, 4, 5, 0, 0, 0) == ALLOW  # `send`
    assert decide(machine, 0) == ALLOW


@both
def test_the_c_library_falls_back_from_clone3(machine: Architecture) -> None:
    assert decide(machine, "clone3") == errno.ENOSYS


@both
@pytest.mark.parametrize("flag", [0x20000 << n for n in (0, 8, 9, 10, 11, 12, 13)])
def test_no_new_namespace(machine: Architecture, flag: int) -> None:
    assert decide(machine, "clone", flag | 0x11) == errno.EPERM


@both
@pytest.mark.parametrize("address", [0x1234, ADDRESS])
def test_nothing_is_sent_to_an_address(machine: Architecture, address: int) -> None:
    assert decide(machine, "sendto", 3, 4, 5, 0, address, 16) == errno.EPERM


@both
def test_no_fast_open(machine: Architecture) -> None:
    assert decide(machine, "sendto", 3, 4, 5, 0x20000000, 0, 0) == errno.EPERM
    assert decide(machine, "sendto", 3, 4, 5, 0x20004000, 0, 0) == errno.EPERM


@both
def test_only_pairs_of_this_machine(machine: Architecture) -> None:
    for family in (2, 10, 30):
        assert decide(machine, "socketpair", family) == errno.EPERM


@both
def test_nothing_is_typed_into_the_terminal(machine: Architecture) -> None:
    assert decide(machine, "ioctl", 0, 0x5412) == errno.EPERM
    assert decide(machine, "ioctl", 0, 0x541C) == errno.EPERM
    assert decide(machine, "ioctl", 0, 0x5401) == ALLOW


def test_calls_of_another_architecture_end_the_process() -> None:
    assert decide(X86_64, 0, audit=I386) == KILL
    assert decide(X86_64, 0x40000000 | 41) == KILL
    assert decide(AARCH64, 0, audit=ARM) == KILL
    assert decide(AARCH64, 0, audit=X86_64.audit) == KILL


@both
def test_the_broker_has_the_network_and_nothing_else(machine: Architecture) -> None:
    for name in seccomp.NETWORK:
        assert decide(machine, name, network=True) == ALLOW
    assert decide(machine, "sendto", 3, 4, 5, 0, ADDRESS, 16, network=True) == ALLOW
    for name in seccomp.PROGRAMS | seccomp.OTHERS:
        assert decide(machine, name, network=True) == errno.EPERM


def test_the_list_is_the_one_that_was_promised() -> None:
    promised = """connect bind socket sendmsg sendmmsg io_uring_setup io_uring_enter
    io_uring_register ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd unshare
    setns bpf perf_event_open userfaultfd keyctl add_key request_key mount fsopen fsmount
    move_mount open_tree open_by_handle_at execve execveat"""

    assert lock.refused(network=False) >= set(promised.split())
