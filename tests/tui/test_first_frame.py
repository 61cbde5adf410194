"""The first frame is on the terminal before anything heavy is loaded."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

HEAVY = "numpy onnxruntime apsw cryptography tokenizers tuf phonenumbers stdnum"

# A driver that takes every byte meant for the terminal. At the first frame it looks at what is
# loaded, prints it, and ends the process.
PROBE = """
import json, os, sys, time
from textual.drivers.headless_driver import HeadlessDriver
class Witness(HeadlessDriver):
    is_headless = False
    def write(self, data):
        if MARK in data:
            loaded = sorted(set(sys.argv[1].split()) & set(sys.modules))
            found = {"loaded": loaded, "cpu": time.process_time()}
            print(json.dumps(found), file=sys.__stdout__, flush=True)
            os._exit(0)
    def flush(self): pass
"""
OURS = """
MARK = "opening…"
from ondevice.tui.app import RecApp
app = RecApp(demo=True)
app.driver_class = Witness
app.run()
"""
LATER = OURS.replace('"opening…"', '"sample behaviours"')


def first_frame(body: str) -> dict[str, Any]:
    proc = subprocess.run(
        [sys.executable, "-c", PROBE + body, HEAVY],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"},
        check=False,
    )
    assert proc.returncode == 0, proc.stderr
    found: dict[str, Any] = json.loads(proc.stdout)
    return found


def test_nothing_heavy_is_loaded_when_the_first_frame_is_painted() -> None:
    assert first_frame(OURS)["loaded"] == []


def test_the_witness_sees_what_a_later_frame_has_loaded() -> None:
    assert {"numpy", "apsw", "cryptography"} <= set(first_frame(LATER)["loaded"])


@pytest.mark.bench
def test_first_frame_beside_an_empty_application() -> None:
    empty = """
MARK = "opening…"
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("opening…")
app = Empty()
app.driver_class = Witness
app.run()
"""
    ours = min(first_frame(OURS)["cpu"] for _ in range(5))
    least = min(first_frame(empty)["cpu"] for _ in range(5))
    print(f"first frame: {ours:.2f} s CPU, an empty Textual application {least:.2f} s")

    assert ours > 0 < least
