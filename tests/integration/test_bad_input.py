"""What is wrong at any stage ends in a clear error, the right exit code, and nothing half done."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ondevice.formats import invite as invitations
from ondevice.privacy.randomness import SystemRandomness
from tests.commands import FILMS, FILMS_FILE, Published, here, publisher
from tests.publishing import rewrite_invite, snapshot

NOISE = random.Random(7).randbytes(4096)
HUGE = '{"id": "a", "title": "' + "long " * 400_000 + '"}'


@pytest.fixture
def some_films(shared_data: Path, tmp_path: Path) -> Path:
    """The first forty films: enough to build and publish in a second."""
    file = tmp_path / "films.jsonl"
    with (shared_data / FILMS_FILE).open(encoding="utf-8") as all_films:
        file.write_text("".join(line for line, _ in zip(all_films, range(40), strict=False)))
    return file


def build(source: Path | str, out: Path) -> int:
    told = ("--source", source, "--id", FILMS, "--scenario", "content", "--out", out)
    return publisher("build", *told)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, 2),
        (b"", 2),
        (b"\n\n", 2),
        (NOISE, 2),
        (b'{"id": "a"}\n', 2),
        (b'{"id": "a", "title": "x"}\n' * 2, 2),
        (b'{"id": "a", "title": "\\u0000"}\n', 2),
        (HUGE.encode(), 2),
    ],
    ids=["missing", "empty", "blank", "binary", "no title", "one id twice", "control", "huge"],
)
def test_build_refuses(
    content: bytes | None, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "source.jsonl", tmp_path / "build"
    if content is not None:
        source.write_bytes(content)
    assert build(source, out) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "ondevice-server: error: " in said.err
    assert "ondevice-server: hint: " in said.err
    assert len(said.err) < 1000
    assert not (out / "build.json").exists()


def test_publish_refuses_a_flipped_byte(
    some_films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, repo = tmp_path / "build", tmp_path / "repo"
    assert build(some_films, folder) == 0
    assert publisher("keys", "init", "--repo", repo) == 0
    assert publisher("publish", folder, "--repo", tmp_path / "nowhere") == 2
    before = snapshot(repo)
    for shard in ("codes-00000", "records-00000", "bias-00000"):
        good = (folder / shard).read_bytes()
        flip(folder / shard)
        capsys.readouterr()
        assert publisher("publish", folder, "--repo", repo) == 5
        assert shard in capsys.readouterr().err
        assert snapshot(repo) == before
        (folder / shard).write_bytes(good)
    assert publisher("publish", folder, "--repo", repo) == 0


def flip(path: Path) -> None:
    blob = bytearray(path.read_bytes())
    blob[len(blob) // 2] ^= 1
    path.write_bytes(blob)


@pytest.fixture
def club(published: Published, tmp_path: Path) -> Published:
    """A copy of the publisher's repository that may be harmed, and an invitation to it."""
    repo = Path(shutil.copytree(published.repo, tmp_path / "repo"))
    invite = Path(shutil.copy(published.invite, tmp_path / "club.invite"))
    rewrite_invite(invite, url=repo.as_uri(), catalogues=(FILMS,))
    return Published(base=tmp_path, invite=invite, home=tmp_path / "home")


def wrong_root(club: Published) -> None:
    other = club.base / "other"
    assert publisher("keys", "init", "--repo", other) == 0
    told = ("--repo", other, "--url", club.repo, "--out", club.base / "other.invite")
    assert publisher("invite", *told) == 0
    root = invitations.decode((club.base / "other.invite").read_bytes()).root
    rewrite_invite(club.invite, root=root)


def wrong_key(club: Published) -> None:
    rewrite_invite(club.invite, group_private=SystemRandomness().bytes(32))


def flipped_shard(club: Published) -> None:
    flip(largest(club.repo / "targets"))


def flipped_signature(club: Published) -> None:
    file = club.repo / "metadata" / "timestamp.json"
    told = json.loads(file.read_bytes())
    signature = told["signatures"][0]["sig"]
    told["signatures"][0]["sig"] = ("0" if signature[0] != "0" else "1") + signature[1:]
    file.write_text(json.dumps(told), encoding="utf-8")


def missing_shard(club: Published) -> None:
    largest(club.repo / "targets").unlink()


def binary_invite(club: Published) -> None:
    club.invite.write_bytes(NOISE)


def empty_invite(club: Published) -> None:
    club.invite.write_bytes(b"")


def missing_repository(club: Published) -> None:
    shutil.rmtree(club.repo)


def largest(folder: Path) -> Path:
    films = [path for path in folder.rglob("*") if path.is_file() and FILMS in path.as_posix()]
    return max(films, key=lambda path: path.stat().st_size)


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (wrong_root, 5),
        (wrong_key, 5),
        (flipped_shard, 5),
        (flipped_signature, 5),
        (missing_shard, 3),
        (binary_invite, 5),
        (empty_invite, 5),
        (missing_repository, 3),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_joining_refuses_and_installs_nothing(
    club: Published, harm: Callable[[Published], None], code: int
) -> None:
    harm(club)
    message = here("catalogue", "add", club.invite, home=club.home).refused(code)
    assert 40 < len(message) < 600
    listed = here("catalogue", "list", "--json", home=club.home).document["catalogues"]
    assert all(one["origin"] == "sample" for one in listed)


def test_the_unharmed_club_can_be_joined_updated_and_left(club: Published) -> None:
    (joined,) = here("catalogue", "add", club.invite, "--json", home=club.home).document[
        "catalogues"
    ]
    assert (joined["id"], joined["items"], joined["version"]) == (FILMS, 3000, 1)
    (updated,) = here("catalogue", "update", "--json", home=club.home).document["catalogues"]
    assert updated == joined
    assert here("catalogue", "remove", FILMS, "--json", home=club.home).document["removed"] == FILMS
    listed = here("catalogue", "list", "--json", home=club.home).document["catalogues"]
    assert FILMS not in {one["id"] for one in listed}


def test_installed_catalogue_with_a_flipped_byte_is_not_used(club: Published) -> None:
    assert here("catalogue", "add", club.invite, home=club.home).code == 0
    flip(largest(club.home / "catalogues"))
    for command in (("recommend", "--catalogue", FILMS), ("catalogue", "verify")):
        message = here(*command, home=club.home).refused(5)
        assert FILMS in message or "damaged" in message
    doctor = here("doctor", "--json", home=club.home)
    assert doctor.code == 1
    checks = {one["id"]: one["status"] for one in json.loads(doctor.out)["checks"]}
    assert (checks["catalogues"], checks["samples"]) == ("fail", "pass")


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "nothing"), (NOISE, ""), (b"\xff\xfe" + NOISE, "")],
    ids=["empty", "binary", "other encoding"],
)
def test_import_refuses(content: bytes, word: str, tmp_path: Path) -> None:
    file, home = tmp_path / "behaviours.jsonl", tmp_path / "home"
    file.write_bytes(content)
    assert word in here("import", "jsonl", file, home=home).refused(2)
    assert here("history", "--json", home=home).document["total"] == 0


@pytest.mark.parametrize("text", ["", " \n\t", "\x00\x01\x02", "x" * ((1 << 20) + 1)])
@pytest.mark.parametrize("command", ["log", "search"])
def test_text_that_is_none_is_refused(command: str, text: str, tmp_path: Path) -> None:
    message = here(command, text, home=tmp_path / "home").refused(2)
    assert len(message) < 400
