"""Small ones of `make bench-reliability`; the page itself is checked to be there."""

import re
import tempfile
from pathlib import Path

import pytest

from ondevice.paths import Home
from tests.bench import reliability
from tests.killing import filled, folder_of

PAGE = Path(__file__).resolve().parents[2] / "ondevice" / "docs" / "reliability.md"


def test_a_few_kills_lose_nothing(tmp_path: Path) -> None:
    kills, acknowledged, lost = reliability.kills_while_recording(folder_of(tmp_path), 4)
    assert (kills, lost) == (4, 0)
    assert acknowledged > 4


def test_writers_readers_and_a_forget_at_once(tmp_path: Path) -> None:
    written, reads, failed = reliability.at_once(
        folder_of(tmp_path), writers=2, readers=2, count=25
    )
    assert (written, failed) == (50, 0)
    assert reads >= 2


@pytest.mark.parametrize("room", [0, 100_000])
def test_a_full_disk_loses_nothing(tmp_path: Path, room: int) -> None:
    acknowledged, lost, refused = reliability.disk_full(folder_of(tmp_path), room)
    assert lost == 0
    assert acknowledged > 0 or room == 0
    assert refused


def test_where_nothing_can_be_written_nothing_is_lost() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # also for whoever the child becomes
        code, lost = reliability.read_only(Path(folder))
    assert (code, lost) == (1, 0)


def test_a_small_store_grows_evenly(tmp_path: Path) -> None:
    small, large = reliability.grow(folder_of(tmp_path), (2_000, 8_000))
    assert 3 < large.bytes / small.bytes < 5
    assert large.count == 8_000


def test_the_page_tells_of_no_loss() -> None:
    page = PAGE.read_text("utf-8")
    assert "| 1,000,000 |" in page
    bold = re.findall(r"\*\*(\d+) (lost|in between|with wrong data|failed or lost)\*\*", page)
    assert len(bold) >= 6
    assert {count for count, _ in bold} == {"0"}


@pytest.mark.bench
def test_kills_and_flips_of_a_full_run(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    filled(home, keep=40, forget=0)
    tried, detected, wrong = reliability.flip_sweep(home, step=101)
    print(f"\nflips: {tried} tried, {detected} detected, {wrong} with wrong data")
    assert wrong == 0
