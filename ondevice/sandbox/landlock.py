"""Landlock: which files a process may still reach. By path, for good, inherited by children.

It holds for the thread that asks and for what that thread starts afterwards: ask before there is
another one.
"""

import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ondevice.sandbox import kernel
from ondevice.sandbox.numbers import Architecture

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR = (1 << n for n in range(5))
TRUNCATE, IOCTL_DEVICE = 1 << 14, 1 << 15

READ = READ_FILE | READ_DIR
# Everything but devices and sockets: remove, make folders, files and links, move, truncate.
CHANGE = READ | WRITE_FILE | REMOVE_DIR | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13 | TRUNCATE
TERMINAL = READ_FILE | WRITE_FILE | IOCTL_DEVICE
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
_KNOWN = {1: 13, 2: 14, 3: 15, 4: 15}  # version → how many rights it knows; later ones: 16
_NO_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract UNIX sockets, signals
_VERSION, _BENEATH = 1, 1


@dataclass(frozen=True, slots=True)
class Rule:
    """What is allowed on a file, or on everything beneath a folder."""

    path: Path
    rights: int


def version(architecture: Architecture) -> int:
    """Return the version of Landlock that this kernel has; 0: none, or switched off."""
    try:
        return kernel.call(architecture.calls["landlock_create_ruleset"], 0, 0, _VERSION)
    except OSError:
        return 0


def restrict(architecture: Architecture, rules: Iterable[Rule], *, network: bool = False) -> int:
    """Allow this thread nothing but `rules`; paths that are not there are left out.

    Args:
        architecture: of this process.
        rules: what stays allowed.
        network: whether TCP stays open, for a process whose work that is.

    Returns:
        The version of Landlock that holds, 0 where there is none.

    Raises:
        OSError: the kernel has Landlock and refused.
    """
    found = version(architecture)
    if not found:
        return 0
    handled = (1 << _KNOWN.get(found, 16)) - 1
    attributes = struct.pack("<QQQ", handled, 0 if network else _NO_TCP, _SCOPES)[
        : 8 if found < 4 else 16 if found < 6 else 24
    ]  # versions, as above
    ruleset = kernel.call(
        architecture.calls["landlock_create_ruleset"],
        kernel.buffer(attributes),
        len(attributes),
        0,
    )
    try:
        for rule in rules:
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _add(architecture, ruleset, rule, handled)
        kernel.prctl(kernel.NO_NEW_PRIVILEGES, 1)
        kernel.call(architecture.calls["landlock_restrict_self"], ruleset, 0)
    finally:
        os.close(ruleset)
    return found


def _add(architecture: Architecture, ruleset: int, rule: Rule, handled: int) -> None:
    handle = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    try:
        folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        rights = rule.rights & handled & (-1 if folder else _OF_FILES)
        attributes = kernel.buffer(struct.pack("<Qi", rights, handle))
        kernel.call(architecture.calls["landlock_add_rule"], ruleset, _BENEATH, attributes, 0)
    finally:
        os.close(handle)
