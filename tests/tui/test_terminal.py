"""The real program in a real terminal, and where there is none."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

WAIT = 60.0  # seconds at most; a machine may be busy
PROGRAM = f"{sys.executable} -m ondevice demo; echo left with $?; sleep 60"


class Terminal:
    """A tmux server of its own, with one window."""

    def __init__(self, columns: int, folder: Path) -> None:
        self._socket = str(folder / "tmux")
        self.tmp = folder / "tmp"
        self.tmp.mkdir()
        environment = {**os.environ, "TMPDIR": str(self.tmp)}
        environment.pop("TMUX", None)
        subprocess.run(
            ["tmux", "-S", self._socket, "-f", os.devnull, "new-session", "-d",
             "-x", str(columns), "-y", "24", PROGRAM],
            check=True, env=environment,
        )  # fmt: skip

    def tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-S", self._socket, *arguments], capture_output=True, text=True, check=True
        ).stdout

    def keys(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def wait(self, text: str, *, gone: bool = False) -> str:
        """Wait until `text` stands on the screen (or is gone); return the screen."""
        end, screen = time.monotonic() + WAIT, ""
        while time.monotonic() < end:
            screen = self.tmux("capture-pane", "-p")
            if (text in screen) is not gone:
                return screen
            time.sleep(0.1)
        raise AssertionError(f"waited for {text!r}, gone={gone}:\n{screen}")

    def kill(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False)


@pytest.fixture
def terminal() -> Iterator[Callable[[int], Terminal]]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    folder = Path(tempfile.mkdtemp(prefix="t"))  # a socket's path must be short
    open_ones: list[Terminal] = []

    def start(columns: int) -> Terminal:
        open_ones.append(Terminal(columns, folder))
        return open_ones[-1]

    yield start
    for one in open_ones:
        one.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_first_minute(terminal: Callable[[int], Terminal], columns: int) -> None:
    window = terminal(columns)
    screen = window.wait("80 sample behaviours")
    assert "x: start with my own" in screen
    screen = window.wait(" 1 ")
    window.wait("because")

    window.keys("j", "l")
    window.wait("81 sample behaviours")
    window.keys("u", "?")
    window.wait("Keys")
    window.keys("Escape")
    window.wait("Keys", gone=True)
    window.keys("q")
    screen = window.wait("left with 0")
    assert "Traceback" not in screen
    assert list(window.tmp.glob("ondevice-rec-demo-*")) == []


def test_leaving_at_once_leaves_nothing(terminal: Callable[[int], Terminal]) -> None:
    window = terminal(80)
    window.wait("Help")
    window.keys("q")

    assert "Traceback" not in window.wait("left with 0")
    assert list(window.tmp.glob("ondevice-rec-demo-*")) == []


@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
def test_without_a_terminal_there_are_plain_lines(term: str) -> None:
    proc = subprocess.run(
        [sys.executable, "-m", "ondevice", "demo"],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "TERM": term},
    )  # fmt: skip

    assert proc.returncode == 0, proc.stderr
    assert "\x1b" not in proc.stdout + proc.stderr
    assert len(proc.stdout.splitlines()) >= 10
