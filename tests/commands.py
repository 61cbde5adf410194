"""Run the two commands as people do, and what a publisher of real catalogues has to show."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondevice.cli import main as cli
from server_tools import cli as server

FILMS, HOUSE = "films", "home-assistant"
FILMS_FILE = "catalogues/content_films_wikipedia_3k.jsonl"
HOUSE_FILE = "catalogues/smarthome_ha_integrations.jsonl"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A publisher's folders, an invitation, and a home that has just joined."""

    base: Path
    invite: Path
    home: Path

    @property
    def repo(self) -> Path:
        return self.base / "repo"

    def joined(self, name: str) -> Path:
        """Return another home that has joined: nothing was recorded in it."""
        return Path(shutil.copytree(self.home, self.base / name))


def publisher(*arguments: object) -> int:
    """Run `ondevice-server` in this process and return its exit code."""
    return server.run([str(one) for one in arguments])


def process(
    *arguments: object, environment: Mapping[str, str] | None = None, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run `ondevice-rec` in a process of its own.

    Args:
        arguments: of the command.
        environment: what to add to this process's.
        given: what it reads from its standard input.
    """
    return subprocess.run(
        [sys.executable, "-m", "ondevice", *map(str, arguments)],
        input=given,
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, **(environment or {})},
    )


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout, of a command that succeeded."""
        assert self.code == 0, self.err
        found: dict[str, Any] = json.loads(self.out)
        assert found["schema"] == 1
        return found

    def refused(self, code: int) -> str:
        """Return the message and the hint of a command that must end with `code`."""
        assert self.code == code, (self.code, self.out, self.err)
        lines = self.err.splitlines()
        assert lines[-2].startswith("ondevice-rec: error: "), self.err
        assert lines[-1].startswith("ondevice-rec: hint: "), self.err
        assert "Traceback" not in self.err
        return "\n".join(lines[-2:])


def here(*arguments: object, home: Path | None = None, given: bytes = b"") -> Said:
    """Run `ondevice-rec` in this process, as `ondevice.__main__` does off a terminal."""
    told = [str(one) for one in arguments] + (["--home", str(home)] if home else [])
    out, err = io.StringIO(), io.StringIO()
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(given))
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = cli.run(told)
    finally:
        sys.stdin = before
    return Said(code=code, out=out.getvalue(), err=err.getvalue())


def device(*arguments: object, home: Path) -> str:
    """Run `ondevice-rec` in a process of its own and return its data; it must succeed."""
    done = process(*arguments, "--home", home)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()
