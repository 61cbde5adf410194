"""Every parser of bytes from outside, 100,000 runs each under a coverage-guided fuzzer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

fuzzing = pytest.importorskip("tests.server.fuzzing", reason="atheris is not installed")

RUNS = 100_000


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(fuzzing.PARSERS))
def test_no_input_crashes_it(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.server.fuzzing", name, str(RUNS), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    assert executed is not None
    assert int(executed[1]) >= RUNS


def test_the_fuzzer_sees_a_crash(tmp_path: Path) -> None:
    program = (
        "import sys; from tests.server import fuzzing\n"
        "def parse(blob):\n"
        "    if len(blob) == 3: raise KeyError\n"
        "fuzzing.PARSERS['bad'] = parse\n"
        f"sys.argv = ['x', 'bad', '200000', {str(tmp_path)!r}]\n"
        "fuzzing.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert done.returncode != 0
    assert "KeyError" in done.stderr + done.stdout
