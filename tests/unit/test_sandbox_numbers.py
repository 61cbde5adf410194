"""The numbers of system calls are those of the kernel's own headers, for each architecture."""

import re
from pathlib import Path

import pytest

from ondevice.sandbox import seccomp
from ondevice.sandbox.numbers import AARCH64, X86_64, Architecture, here

# From Debian: linux-libc-dev, linux-libc-dev-arm64-cross (or linux-libc-dev on that machine).
HEADERS = {
    "x86_64": (
        Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        Path("/usr/include/asm/unistd_64.h"),
    ),
    "aarch64": (
        Path("/usr/aarch64-linux-gnu/include/asm-generic/unistd.h"),
        Path("/usr/include/asm-generic/unistd.h"),
    ),
}
DEFINED = re.compile(r"^#define\s+__NR3?_?(?:3264_)?(\w+)\s+(\d+)\s*$", re.MULTILINE)


def defined(architecture: Architecture) -> dict[str, int]:
    """Name → number, by the header of `architecture`."""
    for path in HEADERS[architecture.name]:
        if path.exists():
            return {name: int(number) for name, number in DEFINED.findall(path.read_text("utf-8"))}
    pytest.skip(f"no kernel headers of {architecture.name}: install linux-libc-dev-arm64-cross")


@pytest.mark.parametrize("architecture", [X86_64, AARCH64], ids=lambda one: str(one.name))
def test_numbers_are_the_kernel_s(architecture: Architecture) -> None:
    known = defined(architecture)

    assert len(known) >= 300
    assert {name: known.get(name) for name in architecture.calls} == dict(architecture.calls)


def test_both_architectures_name_the_same_calls() -> None:
    assert set(X86_64.calls) == set(AARCH64.calls)
    assert set(X86_64.calls) >= seccomp.NETWORK | seccomp.PROGRAMS | seccomp.OTHERS
    for architecture in (X86_64, AARCH64):
        assert len(set(architecture.calls.values())) == len(architecture.calls)


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [
        ("linux", "x86_64", X86_64),
        ("linux", "aarch64", AARCH64),
        ("linux", "riscv64", None),
        ("darwin", "arm64", None),
    ],
)
def test_elsewhere_no_lock_is_claimed(
    system: str, machine: str, expected: Architecture | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("os.uname", lambda: type("Name", (), {"machine": machine}))

    assert here() is expected
