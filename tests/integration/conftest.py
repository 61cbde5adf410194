"""What several integration tests share because it takes long to make."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ondevice import clock
from ondevice.service.session import Session
from tests.commands import FILMS, FILMS_FILE, HOUSE, HOUSE_FILE, Published, device, here, publisher
from tests.profiles import Time, made


@pytest.fixture(scope="session")
def published(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Build, sign and publish two real catalogues; join by the invitation. 45 s of one core."""
    base = tmp_path_factory.mktemp("published")
    repo, invite = base / "repo", base / "club.invite"
    assert publisher("keys", "init", "--repo", repo) == 0
    for file, name, scenario in (
        (FILMS_FILE, FILMS, "content"),
        (HOUSE_FILE, HOUSE, "smart-home"),
    ):
        told = ("--source", shared_data / file, "--id", name, "--scenario", scenario)
        assert publisher("build", *told, "--out", base / name) == 0
        assert publisher("publish", base / name, "--repo", repo) == 0
    assert publisher("invite", "--repo", repo, "--url", repo, "--out", invite) == 0
    home = base / "home"
    joined = device("catalogue", "add", invite, "--json", home=home)
    counts = {c["id"]: c["items"] for c in json.loads(joined)["catalogues"]}
    assert counts == {FILMS: 3000, HOUSE: 972}
    return Published(base=base, invite=invite, home=home)


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample person's home. Read it only; `home` is a copy to change."""
    found = tmp_path_factory.mktemp("sample") / "home"
    assert here("demo", home=found).code == 0
    return found


@pytest.fixture
def home(sample_home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample_home, tmp_path / "home"))


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    said = Time()
    monkeypatch.setattr(clock, "now", lambda: said.now)
    monkeypatch.setattr(clock, "utc_offset", lambda: said.offset)
    return said


@pytest.fixture
def days(tmp_path: Path, time: Time) -> Iterator[Session]:
    with Session.open(made(tmp_path, 'unit = "day"\n')) as session:
        yield session


@pytest.fixture
def hours(tmp_path: Path, time: Time) -> Iterator[Session]:
    with Session.open(made(tmp_path, 'shared_clock = "1h"\n')) as session:
        yield session
