"""Publishing: what is written, in which order, and what is never written again."""

import hashlib
import json
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tuf.api.metadata import Metadata

from ondevice.errors import ConfigError, FormatError, OnDeviceError
from ondevice.formats import envelope, invite, sealed
from server_tools.publish import command, files, keys, keys_command, repository
from tests.publishing import NOW, Publisher, snapshot, some_items

LATER = NOW + timedelta(days=3)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path).init()


def metadata(publisher: Publisher, name: str) -> Any:
    return Metadata[Any].from_bytes(publisher.metadata(name).read_bytes()).signed


def test_keys_are_beside_the_repository_and_for_their_owner_alone(publisher: Publisher) -> None:
    folder = keys.folder(publisher.repo)
    names = {path.name for path in folder.iterdir()}

    assert folder == publisher.repo.with_name("repo.keys")
    assert names == {f"{role}.key" for role in (*keys.ROLES, "group", "state")}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    served = b"".join(snapshot(publisher.repo).values())
    assert b"PRIVATE" not in served
    assert (folder / "group.key").read_bytes() not in served
    with pytest.raises(ConfigError, match="is there already"):
        publisher.init()


def test_roles_have_keys_of_their_own_and_the_promised_lifetimes(publisher: Publisher) -> None:
    root = metadata(publisher, "1.root.json")
    assert root.consistent_snapshot
    assert {role: root.roles[role].threshold for role in keys.ROLES} == dict.fromkeys(keys.ROLES, 1)
    assert len({key for role in keys.ROLES for key in root.roles[role].keyids}) == 4
    days = {
        "1.root.json": 365,
        "1.targets.json": 90,
        "1.snapshot.json": 90,
        "timestamp.json": 7,
    }
    for name, count in days.items():
        assert metadata(publisher, name).expires == NOW + timedelta(days=count)


def test_every_file_is_what_its_name_and_the_metadata_say(publisher: Publisher) -> None:
    publisher.publish(some_items())
    targets = metadata(publisher, "2.targets.json").targets

    assert {path.partition("/")[2] for path in targets} == {
        "manifest",
        "envelope",
        "bias-00000",
        "codes-00000",
        "records-00000",
        "space",
    }
    for path, target in targets.items():
        catalogue, _, name = path.partition("/")
        digest = target.hashes["sha256"]
        blob = repository.target_file(publisher.repo, catalogue, name, digest).read_bytes()
        assert hashlib.sha256(blob).hexdigest() == digest
        assert len(blob) == target.length
        assert b"kettle" not in blob
    assert metadata(publisher, "timestamp.json").snapshot_meta.version == 2


def test_an_unchanged_build_publishes_nothing(publisher: Publisher) -> None:
    first = publisher.publish(some_items())
    before = snapshot(publisher.base / "repo")
    again = publisher.publish(some_items(), now=LATER)

    assert (first.changed, first.version) == (True, 1)
    assert (again.changed, again.version, again.size) == (False, 1, 0)
    assert snapshot(publisher.repo) == before


def test_an_unchanged_shard_is_never_sealed_again(publisher: Publisher) -> None:
    publisher.publish(some_items())
    before = snapshot(publisher.repo / "targets")
    second = publisher.publish(some_items(changed=2), now=LATER)
    new = set(snapshot(publisher.repo / "targets")) - set(before)

    assert second.version == 2
    assert second.sealed == ("codes-00000", "records-00000")
    assert second.kept == ("bias-00000", "space")
    assert sorted(name.rpartition(".")[2] for name in new) == [
        "codes-00000",
        "manifest",
        "records-00000",
    ]
    back = publisher.publish(some_items(), now=LATER)  # the first content once more
    assert back.version == 3
    assert back.sealed == ()


def test_a_changed_shard_gets_a_new_key(publisher: Publisher) -> None:
    publisher.publish(some_items())
    publisher.publish(some_items(changed=2))
    secrets = keys.read_state(publisher.repo)["rooms"]
    used = [shard.key for shard in secrets.shards.values()]
    assert len(used) == 6  # two of codes, two of records, bias, space
    assert len(set(used)) == 6
    assert secrets.key.hex() not in used


def test_a_damaged_sealed_file_is_not_kept(publisher: Publisher) -> None:
    publisher.publish(some_items())
    (bias,) = publisher.files(".bias-00000")
    bias.write_bytes(b"x" * bias.stat().st_size)
    assert "bias-00000" in publisher.publish(some_items(changed=1)).sealed


def test_a_dry_run_says_what_would_happen_and_does_nothing(publisher: Publisher) -> None:
    publisher.publish(some_items())
    before = snapshot(publisher.base / "repo"), snapshot(keys.folder(publisher.repo))
    planned = publisher.publish(some_items(changed=2), dry_run=True)
    assert (snapshot(publisher.base / "repo"), snapshot(keys.folder(publisher.repo))) == before

    assert planned == publisher.publish(some_items(changed=2))
    sizes = [
        path.stat().st_size for kind in planned.sealed for path in publisher.files(f".{kind}")[-1:]
    ]
    assert planned.size == sum(sizes)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) - 56, (1 << 20) - 55, 3 << 20])
def test_the_size_of_a_sealed_file(size: int) -> None:
    blob = sealed.seal(bytes(32), bytes(size), b"", salt=bytes(32), prefix=bytes(7))
    assert repository.sealed_size(size) == len(blob)


def test_catalogues_do_not_disturb_each_other(publisher: Publisher) -> None:
    publisher.publish(some_items())
    before = {path: path.read_bytes() for path in publisher.files("") if path.is_file()}
    publisher.publish(some_items(4), catalogue="attic")

    assert repository.catalogues(publisher.repo) == ("attic", "rooms")
    assert all(path.read_bytes() == blob for path, blob in before.items())
    state = keys.read_state(publisher.repo)
    assert state["attic"].key != state["rooms"].key


def test_the_timestamp_is_written_last(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = files.put

    def put(path: Path, content: bytes, *, mode: int = 0o644) -> None:
        written.append(path.name)
        real(path, content, mode=mode)

    monkeypatch.setattr(files, "put", put)
    publisher.publish(some_items(), now=NOW + timedelta(days=350))
    kinds = [name.rpartition(".")[2] if len(name) > 64 else name for name in written]
    assert kinds == [
        "bias-00000",
        "codes-00000",
        "records-00000",
        "space",
        "state.key",
        "envelope",
        "manifest",
        "2.root.json",
        "2.targets.json",
        "2.snapshot.json",
        "timestamp.json",
    ]


def test_who_is_stopped_has_published_nothing(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish(some_items())
    stamp = publisher.metadata("timestamp.json").read_bytes()
    real = files.put
    for stop_at in ("codes-00000", "manifest", "3.targets.json", "timestamp.json"):

        def put(path: Path, content: bytes, *, mode: int = 0o644, at: str = stop_at) -> None:
            if path.name.endswith(at):
                raise KeyboardInterrupt
            real(path, content, mode=mode)

        monkeypatch.setattr(files, "put", put)
        with pytest.raises(KeyboardInterrupt):
            publisher.publish(some_items(changed=2))
        monkeypatch.setattr(files, "put", real)
        assert publisher.metadata("timestamp.json").read_bytes() == stamp
    assert publisher.publish(some_items(changed=2)).version == 2


def test_refreshing_signs_the_timestamp_and_a_snapshot_that_is_due(publisher: Publisher) -> None:
    publisher.publish(some_items())
    for role in ("root", "targets"):  # kept apart: not needed for this
        (keys.folder(publisher.repo) / f"{role}.key").unlink()

    assert repository.refresh(publisher.repo, now=LATER) == ("timestamp",)
    assert metadata(publisher, "timestamp.json").expires == LATER + timedelta(days=7)
    late = NOW + timedelta(days=70)
    assert repository.refresh(publisher.repo, now=late) == ("snapshot", "timestamp")
    assert metadata(publisher, "3.snapshot.json").expires == late + timedelta(days=90)
    assert metadata(publisher, "3.snapshot.json").meta["targets.json"].version == 2


def test_secrets_that_others_may_read_are_refused(publisher: Publisher) -> None:
    path = keys.folder(publisher.repo) / "targets.key"
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read") as caught:
        publisher.publish(some_items())
    assert caught.value.hint == f"run: chmod 600 {path}"


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_something_that_is_no_key(content: bytes, publisher: Publisher) -> None:
    files.put_secret(keys.folder(publisher.repo) / "root.key", content)
    files.put_secret(keys.folder(publisher.repo) / "group.key", content)
    with pytest.raises(ConfigError, match="is not a private key"):
        keys.held(publisher.repo)
    with pytest.raises(ConfigError, match="64 hex digits"):
        keys.group(publisher.repo)


def test_a_repository_and_keys_of_different_publishers(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish(some_items())
    state = keys.read_state(publisher.repo)
    keys.write_state(publisher.repo, {"rooms": replace(state["rooms"], key=bytes(32))})
    with pytest.raises(FormatError, match="cannot open the published") as caught:
        publisher.publish(some_items(changed=1))
    assert "do not belong together" in caught.value.hint


def test_only_one_publishes_at_a_time(publisher: Publisher) -> None:
    with files.locked(keys.folder(publisher.repo)), pytest.raises(ConfigError, match="another"):
        publisher.publish(some_items())


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a repository") as caught:
        repository.refresh(tmp_path, now=NOW)
    assert "keys init" in caught.value.hint


def test_the_invitation_opens_the_envelope(publisher: Publisher) -> None:
    publisher.publish(some_items())
    path = publisher.invite(url="https://example.org/repo/")
    read = invite.decode(path.read_bytes())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read.url == "https://example.org/repo"
    assert read.root == publisher.metadata("1.root.json").read_bytes()
    (wrapped,) = publisher.files(".envelope")
    key, epoch = envelope.unwrap(
        wrapped.read_bytes(), keys.group(publisher.repo), catalogue="rooms"
    )
    assert (key, epoch) == (keys.read_state(publisher.repo)["rooms"].key, 1)


@pytest.mark.parametrize("url", ["http://example.org", "ftp://example.org", "/no/such/folder"])
def test_addresses_that_devices_would_refuse(url: str, publisher: Publisher) -> None:
    with pytest.raises(ConfigError):
        publisher.invite(url=url)
    with pytest.raises(ConfigError, match="offers no catalogue 'x'"):
        publisher.invite(catalogues=["x"])
    assert not (publisher.base / "me.invite").exists()


def test_the_commands(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(some_items())  # makes the build
    build, repo = publisher.base / "build-rooms", tmp_path / "public"

    def call(name: Any, *arguments: str) -> Any:
        return CliRunner().invoke(name, arguments, catch_exceptions=False)

    done = call(keys_command.keys, "init", "--repo", str(repo))
    assert f"never serve {tmp_path / 'public.keys'}" in done.stderr
    assert (
        "would publish 'rooms' version 1"
        in call(command.publish, str(build), "--repo", str(repo), "--dry-run").stderr
    )
    done = call(command.publish, str(build), "--repo", str(repo))
    assert "published 'rooms' version 1" in done.stderr
    assert done.stdout == ""
    assert "has not changed" in call(command.publish, str(build), "--repo", str(repo)).stderr
    done = call(command.publish, "--repo", str(repo), "--timestamp-only")
    assert "signed again: timestamp" in done.stderr
    assert call(command.publish, "--repo", str(repo)).exit_code == 2
    assert call(command.publish, str(build), "--repo", str(repo), "--timestamp-only").exit_code == 2
    out = tmp_path / "f.invite"
    done = call(command.invite, "--repo", str(repo), "--url", str(repo), "--out", str(out))
    assert "it is a secret" in done.stderr
    assert json.loads(out.read_bytes())["url"] == repo.as_uri()
    with pytest.raises(OnDeviceError):
        call(command.publish, str(tmp_path), "--repo", str(repo))


def test_no_secret_is_printed_by_accident(publisher: Publisher) -> None:
    publisher.publish(some_items())
    state = keys.read_state(publisher.repo)["rooms"]
    shard = next(iter(state.shards.values()))
    assert state.key.hex() not in repr(state)
    assert repr(state.key) not in repr(state)
    assert shard.key not in repr(shard)
