"""One source of randomness, one clock, one way out: no module of the client goes around them."""

import ast
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "ondevice"

# What only the door may name → the door. Modules are imports, dotted names are attributes.
DOORS: dict[str, tuple[set[str], set[str]]] = {
    # door: (modules, attributes)
    "privacy/randomness.py": (
        {"random", "secrets", "uuid"},
        {"os.urandom", "os.getrandom", "np.random.*", "numpy.random.*"},
    ),
    "clock.py": (
        {"time"},
        {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"},
    ),
    "updates/fetch.py": (
        {"socket", "ssl", "http", "urllib", "httpx", "requests", "ftplib", "smtplib", "asyncio"},
        set(),
    ),
}

# The TUI waits for its own workers; it reads no clock and opens no connection with them.
EVERYWHERE = {"asyncio"}
EXCUSED = {
    "sandbox/wire.py": {"socket"},  # connected pairs: see below
    "updates/door.py": {"urllib"},  # quotes a path
    "audit/attempts.py": {"socket"},  # tries every way out, inside a lock
}


def named(source: str) -> set[str]:
    """Every module that `source` imports (its first part) and every dotted name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            names.add(ast.unparse(node))
    return names - {"np.random.Generator", "np.random"}  # a type: it draws nothing by itself


def around(door: str, source: str) -> set[str]:
    modules, attributes = DOORS[door]
    return {
        name
        for name in named(source)
        if name in modules or any(fnmatchcase(name, pattern) for pattern in attributes)
    }


@pytest.mark.parametrize("door", DOORS)
def test_nobody_goes_around_the_door(door: str) -> None:
    files = [p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).as_posix() != door]
    excused = EXCUSED if door == "updates/fetch.py" else {}
    found = {
        name: names
        for name, path in ((p.relative_to(PACKAGE).as_posix(), p) for p in files)
        if (names := around(door, path.read_text("utf-8")) - excused.get(name, EVERYWHERE))
    }

    assert len(files) >= 60
    assert found == {}


@pytest.mark.parametrize("door", DOORS)
def test_the_door_is_used_by_itself(door: str) -> None:
    assert around(door, (PACKAGE / door).read_text("utf-8"))


def test_processes_of_ours_talk_over_pairs_that_lead_nowhere_else() -> None:
    pairs = named((PACKAGE / "sandbox/wire.py").read_text("utf-8"))
    quoting = named((PACKAGE / "updates/door.py").read_text("utf-8"))

    assert {name for name in pairs if name.startswith("socket")} == {
        *("socket", "socket.socket", "socket.socketpair", "socket.send_fds", "socket.recv_fds")
    }
    assert {name for name in quoting if name.startswith("urllib")} == {
        *("urllib", "urllib.parse.quote")
    }


@pytest.mark.parametrize(
    ("door", "source"),
    [
        ("privacy/randomness.py", "def f():\n    import secrets"),
        ("privacy/randomness.py", "import os\nkey = os.urandom(32)"),
        ("privacy/randomness.py", "from os import urandom"),
        ("privacy/randomness.py", "import numpy as np\nnp.random.default_rng()"),
        ("clock.py", "from datetime import datetime\nat = datetime.now()"),
        ("clock.py", "import time"),
        ("updates/fetch.py", "import urllib.request"),
        ("updates/fetch.py", "from http import client"),
    ],
)
def test_the_check_itself_works(door: str, source: str) -> None:
    assert around(door, source)
