"""What is installed is whole: the wheel alone, away from the checkout, shows a first list."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_WHEEL = 40 << 20  # bytes
RUN = """
import sys
import ondevice
from ondevice.__main__ import main
sys.stderr.write(f"from {ondevice.__file__}\\n")
sys.argv = ["ondevice-rec", "demo", "--plain"]
sys.exit(main())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w"]
    proc = subprocess.run(
        [*command, str(folder), str(ROOT)], capture_output=True, text=True, check=False, timeout=300
    )
    assert proc.returncode == 0, proc.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_it_holds_the_program_and_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"ondevice", "server_tools"}
    assert wheel.stat().st_size <= MAX_WHEEL
    for shipped in (
        "ondevice/_bundled/encoder/model.onnx",
        "ondevice/_bundled/encoder/tokenizer.json",
        "ondevice/_bundled/space/",
        "ondevice/_bundled/demo/",
        "ondevice/py.typed",
        "ondevice/tui/styles/app.tcss",
        "ondevice/formats/SPEC.md",
        "ondevice/privacy/PROOF.md",
    ):
        assert any(name.startswith(shipped) for name in names), shipped
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_it_runs_without_the_checkout(
    wheel: Path, tmp_path: Path, python: Callable[..., Any]
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)

    run = python(RUN, guarded=True, path=tmp_path)

    assert run.code == 0, run.err
    assert f"from {tmp_path}" in run.err
    assert len(run.out.strip().splitlines()) == 10
