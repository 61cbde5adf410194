"""ONNX Runtime has telemetry of its own since 1.32. With us it keeps quiet, and leaves no file."""

import os
import subprocess
import sys
from pathlib import Path

ENCODE = """
from ondevice.encoder.session import Encoder
from ondevice.paths import bundled
Encoder.load(bundled("encoder")).encode(["a walk over the hills"])
"""


def traces(code: str, folder: Path) -> set[str]:
    """Run `code` with an empty home and scratch folder; return the files that it leaves there."""
    folder.mkdir()
    own = {"HOME": folder, "TMPDIR": folder, "XDG_CACHE_HOME": folder, "XDG_DATA_HOME": folder}
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {name: str(value) for name, value in own.items()}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_check_sees_a_file(tmp_path: Path) -> None:
    code = "import tempfile, pathlib; pathlib.Path(tempfile.gettempdir(), '.ses').touch()"
    assert traces(code, tmp_path / "own") == {".ses"}


def test_an_encoder_leaves_no_trace(tmp_path: Path) -> None:
    assert traces(ENCODE, tmp_path / "own") == set()
