"""Large builds: memory that stays flat, a build that survives kill -9, updates that stay small."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from server_tools.embed import local
from tests.bench.scale import ROOT, delta, grown
from tests.publishing import snapshot
from tests.server.scaling import write

GROUP = 32_768  # items of a row group


@pytest.mark.slow
def test_memory_is_one_row_group_however_many_there_are(tmp_path: Path) -> None:
    some = grown(write(tmp_path / "some.jsonl", 2 * GROUP), tmp_path / "a")
    many = grown(write(tmp_path / "many.jsonl", 6 * GROUP), tmp_path / "b")

    assert (some.items, many.items) == (2 * GROUP, 6 * GROUP)
    ids = 4 * GROUP * 36 / 2**20  # MiB
    assert many.peak_mib <= some.peak_mib * 1.15 + ids
    changed = write(tmp_path / "many.jsonl", 6 * GROUP, changed=3 * GROUP + 5)
    grown(changed, tmp_path / "c")
    cost = delta(local.read_manifest(tmp_path / "b"), local.read_manifest(tmp_path / "c"))
    assert cost.largest <= cost.fetched < 2 * cost.largest  # its records, and its small codes
    old, new = snapshot(tmp_path / "b"), snapshot(tmp_path / "c")
    assert [name for name in new if new[name] != old[name]] == [
        "build.json",
        "codes-00003",
        "records-00003",
    ]


@pytest.mark.slow
def test_a_killed_build_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    source, work = write(tmp_path / "items.jsonl", 3 * GROUP), tmp_path / "b.work"
    grown(source, tmp_path / "a")
    command = [sys.executable, "-m", "tests.server.scaling", str(source), str(tmp_path / "b")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not [path for path in work.glob("*/group") if ".part" not in path.parent.name]:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert not (tmp_path / "b").exists()
    finished = {path.stat().st_ino for path in work.glob("*/records-*")}
    grown(source, tmp_path / "b")
    assert (tmp_path / "b" / "records-00000").stat().st_ino in finished  # not made again
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    assert not work.exists()
