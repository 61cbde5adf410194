"""Rules are proved in a process of their own: what is loaded or touched there is all there is."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Ends the process at the first touch, whatever the code around it catches.
GUARD = """
import os, sys
DOORS = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo",
         "socket.gethostbyname", "urllib.Request", "subprocess.Popen", "os.system", "os.exec",
         "os.posix_spawn"}
def deny(event, args):
    if event in DOORS:
        os.write(2, f"touched: {event} {args}\\n".encode())
        os._exit(97)
sys.addaudithook(deny)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What a process said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its standard output as JSON; shows what went wrong where there is none."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture(scope="session")
def python() -> Callable[..., Run]:
    """Run Python code in a fresh process: `python(code, *arguments, guarded=…, path=…)`."""

    def run(code: str, *arguments: str, guarded: bool = False, path: Path | None = None) -> Run:
        proc = subprocess.run(
            [sys.executable, "-c", GUARD + code if guarded else code, *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=path or ROOT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(path or ROOT)},
            timeout=120,
            check=False,
        )
        return Run(proc.returncode, proc.stdout, proc.stderr)

    return run


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """The files of the project: what git tracks, and what it would (new, not ignored)."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        check=True,
    ).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in files if path.is_file()]
