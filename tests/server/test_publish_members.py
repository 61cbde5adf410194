"""Who may sign and who may read: thresholds, keys kept elsewhere, rotation, single devices."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tuf.api.metadata import Metadata

from ondevice.errors import ConfigError, FormatError, NotReadyError, TrustError
from ondevice.updates import install
from server_tools.publish import command as publish_command
from server_tools.publish import files, keys, keys_command, members, repository, signing
from server_tools.publish.devices import Device as Enrolled
from server_tools.publish.signing import WaitingError
from tests.publishing import NOW, Device, Publisher, some_items

LATER = NOW + timedelta(days=1)
TWO_OF_THREE = keys.Threshold(needed=2, of=3)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path).init()


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "device")


def newest(publisher: Publisher, role: str) -> Any:
    found = (publisher.repo / "metadata").glob(f"*.{role}.json")
    path = max(found, key=lambda path: int(path.name.partition(".")[0]))
    return Metadata[Any].from_bytes(path.read_bytes())


def versions(device: Device) -> dict[str, int]:
    return {one.id: one.version for one in install.installed(device.home)}


def update(device: Device, name: str = "rooms") -> int:
    return install.update(device.home, name, keys=device.keys, now=LATER).after


def enrol(publisher: Publisher, device: Device, name: str = "hub", *catalogues: str) -> None:
    key = device.keys.device_public
    members.enrol(
        publisher.repo,
        Enrolled(name=name, public=key, catalogues=catalogues),
        now=NOW,
        randomness=publisher.randomness,
    )


def join(publisher: Publisher, device: Device) -> list[str]:
    root = publisher.metadata("1.root.json").read_bytes()
    return install.join(device.home, publisher.repo.as_uri(), root, keys=device.keys, now=LATER)


def take_away(publisher: Publisher, *names: str) -> Path:
    """Move private keys to another machine."""
    vault = publisher.base / "vault"
    vault.mkdir(mode=0o700, exist_ok=True)
    for name in names:
        (keys.folder(publisher.repo) / name).replace(vault / name)
    return vault


# Thresholds


def test_two_of_three_keys_sign_for_root_and_targets(tmp_path: Path, device: Device) -> None:
    publisher = Publisher(tmp_path).init(threshold=TWO_OF_THREE)
    root = newest(publisher, "root").signed
    names = {path.name for path in keys.role_files(publisher.repo)}

    assert {role: root.roles[role].threshold for role in keys.ROLES} == {
        "root": 2,
        "targets": 2,
        "snapshot": 1,
        "timestamp": 1,
    }
    assert names == {f"{role}-{n}.key" for role in ("root", "targets") for n in (1, 2, 3)} | {
        "snapshot.key",
        "timestamp.key",
    }
    publisher.publish(some_items())
    assert install.add(device.home, publisher.invite(), keys=device.keys, now=NOW) == ["rooms"]


@pytest.mark.parametrize("wrong", [(0, 1), (2, 1), (1, 17), (-1, 2)])
def test_thresholds_that_nobody_could_reach(wrong: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="cannot be asked for"):
        keys.Threshold(needed=wrong[0], of=wrong[1])


def test_what_offline_keys_must_sign_waits_and_devices_see_nothing_of_it(
    tmp_path: Path, device: Device
) -> None:
    publisher = Publisher(tmp_path).init(threshold=TWO_OF_THREE)
    publisher.publish(some_items())
    install.add(device.home, publisher.invite(), keys=device.keys, now=NOW)
    vault = take_away(publisher, *(f"{r}-{n}.key" for r in ("root", "targets") for n in (2, 3)))
    stamp = publisher.metadata("timestamp.json").read_bytes()

    with pytest.raises(WaitingError, match="1 of 2") as caught:
        publisher.publish(some_items(changed=3), now=LATER)
    assert str(caught.value.path) in caught.value.hint
    assert publisher.metadata("timestamp.json").read_bytes() == stamp
    assert update(device) == 1
    with pytest.raises(ConfigError, match="waits for signatures"):  # it would be lost
        publisher.publish(some_items(changed=4), now=LATER)
    with pytest.raises(WaitingError, match="1 of 2"):
        members.finish(publisher.repo, now=LATER)

    signing.add_signatures(caught.value.path, [vault / "targets-3.key"])
    assert members.finish(publisher.repo, now=LATER) == ("targets",)
    assert update(device) == 2
    assert not signing.pending(publisher.repo)
    with pytest.raises(ConfigError, match="nothing waits"):
        members.finish(publisher.repo, now=LATER)


def test_a_signature_of_somebody_else_does_not_count(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path / "ours").init(threshold=TWO_OF_THREE)
    stranger = Publisher(tmp_path / "theirs").init()
    take_away(publisher, "targets-2.key", "targets-3.key")
    with pytest.raises(WaitingError) as caught:
        publisher.publish(some_items())
    signing.add_signatures(
        caught.value.path, [keys.folder(stranger.repo) / f"{role}.key" for role in keys.ROLES]
    )
    with pytest.raises(WaitingError, match="1 of 2"):
        members.finish(publisher.repo, now=LATER)


def test_a_change_made_for_an_older_repository_is_refused(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path).init(threshold=TWO_OF_THREE)
    vault = take_away(publisher, "targets-2.key", "targets-3.key")
    with pytest.raises(WaitingError) as caught:
        publisher.publish(some_items())
    waiting = signing.add_signatures(caught.value.path, [vault / "targets-2.key"]).to_bytes()
    members.finish(publisher.repo, now=LATER)
    caught.value.path.write_bytes(waiting)  # brought back twice
    with pytest.raises(ConfigError, match="made for targets 1, but the repository has targets 2"):
        members.finish(publisher.repo, now=LATER)


def test_only_metadata_that_people_sign_is_signed(publisher: Publisher) -> None:
    key = keys.folder(publisher.repo) / "targets.key"
    with pytest.raises(FormatError, match="nobody signs by hand"):
        signing.add_signatures(publisher.metadata("timestamp.json"), [key])
    with pytest.raises(FormatError, match="cannot read"):
        signing.add_signatures(key, [key])


# Rotation


@pytest.mark.parametrize("role", keys.ROLES)
def test_devices_follow_new_keys_of_a_role(role: str, publisher: Publisher, device: Device) -> None:
    publisher.publish(some_items())
    install.add(device.home, publisher.invite(), keys=device.keys, now=NOW)
    old = set(newest(publisher, "root").signed.roles[role].keyids)
    members.rotate(publisher.repo, role, now=LATER, randomness=publisher.randomness)

    new = set(newest(publisher, "root").signed.roles[role].keyids)
    assert not old & new
    retired = {path.name for path in (keys.folder(publisher.repo) / "retired").iterdir()}
    assert retired == {f"{role}.key"}
    assert publisher.publish(some_items(changed=1), now=LATER).version == 2
    assert update(device) == 2
    late = Device(device.base / "late")  # one that starts from the first root
    assert install.add(late.home, publisher.invite(), keys=late.keys, now=LATER) == ["rooms"]


def test_a_stolen_old_key_signs_nothing_any_more(publisher: Publisher, device: Device) -> None:
    publisher.publish(some_items())
    install.add(device.home, publisher.invite(), keys=device.keys, now=NOW)
    members.rotate(publisher.repo, "timestamp", now=LATER, randomness=publisher.randomness)
    thief = keys.signer(keys.folder(publisher.repo) / "retired" / "timestamp.key")
    forged = Metadata[Any].from_bytes(publisher.metadata("timestamp.json").read_bytes())
    forged.signed.version += 100
    publisher.metadata("timestamp.json").write_bytes(keys.sign(forged, [thief]))
    with pytest.raises(TrustError, match="not signed by enough"):
        update(device)


def test_rotation_by_offline_root_keys(tmp_path: Path, device: Device) -> None:
    publisher = Publisher(tmp_path).init(threshold=TWO_OF_THREE)
    publisher.publish(some_items())
    install.add(device.home, publisher.invite(), keys=device.keys, now=NOW)
    vault = take_away(publisher, *(f"root-{n}.key" for n in (1, 2, 3)))
    with pytest.raises(WaitingError, match="0 of 2") as caught:
        members.rotate(publisher.repo, "targets", now=LATER, randomness=publisher.randomness)
    signing.add_signatures(caught.value.path, [vault / "root-1.key", vault / "root-3.key"])
    assert members.finish(publisher.repo, now=LATER) == ("root",)
    assert publisher.publish(some_items(changed=1), now=LATER).version == 2
    assert update(device) == 2


@pytest.mark.parametrize("stop_at", ["2.root.json", "3.targets.json", "timestamp.json"])
def test_an_interrupted_rotation_is_mended_by_the_next(
    stop_at: str, publisher: Publisher, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish(some_items())
    install.add(device.home, publisher.invite(), keys=device.keys, now=NOW)
    real = files.put

    def put(path: Path, content: bytes, *, mode: int = 0o644) -> None:
        if path.name == stop_at:
            raise KeyboardInterrupt
        real(path, content, mode=mode)

    monkeypatch.setattr(files, "put", put)
    with pytest.raises(KeyboardInterrupt):
        members.rotate(publisher.repo, "targets", now=LATER, randomness=publisher.randomness)
    monkeypatch.setattr(files, "put", real)
    members.rotate(publisher.repo, "targets", now=LATER, randomness=publisher.randomness)
    assert publisher.publish(some_items(changed=1), now=LATER).version == 2
    assert update(device) == 2


def test_a_new_group_shuts_older_invitations_out(publisher: Publisher, device: Device) -> None:
    publisher.publish(some_items())
    old = publisher.invite()
    install.add(device.home, old, keys=device.keys, now=NOW)
    members.rotate(publisher.repo, "group", now=LATER, randomness=publisher.randomness)

    with pytest.raises(TrustError, match="no key for this device"):
        update(device)
    assert versions(device) == {"rooms": 1}  # what it had, it keeps
    install.load(device.home, "rooms", keys=device.keys)
    again = Device(device.base / "again")
    assert install.add(again.home, publisher.invite(), keys=again.keys, now=LATER) == ["rooms"]
    assert versions(again) == {"rooms": 2}


def test_the_root_is_renewed_by_one_command(publisher: Publisher) -> None:
    assert members.renew(publisher.repo, now=LATER) == 2
    assert newest(publisher, "root").signed.expires == LATER + timedelta(days=365)


def test_a_root_that_expires_without_its_keys_is_said(publisher: Publisher) -> None:
    take_away(publisher, "root.key")
    soon = NOW + timedelta(days=340)
    assert "keys renew" in publisher.publish(some_items(), now=soon).note


# Single devices


def test_an_enrolled_device_reads_without_an_invitation(
    publisher: Publisher, device: Device
) -> None:
    publisher.publish(some_items())
    with pytest.raises(NotReadyError, match="nothing for this device"):
        join(publisher, device)
    enrol(publisher, device)
    assert join(publisher, device) == ["rooms"]
    assert install.opened_by_device("rooms", keys=device.keys)
    install.load(device.home, "rooms", keys=device.keys)
    publisher.publish(some_items(changed=2), now=LATER)
    assert update(device) == 2


def test_a_device_may_be_let_into_some_catalogues(publisher: Publisher, device: Device) -> None:
    publisher.publish(some_items())
    publisher.publish(some_items(5), catalogue="attic")
    enrol(publisher, device, "hub", "attic")
    assert join(publisher, device) == ["attic"]


def test_enrolling_changes_envelopes_and_nothing_else(publisher: Publisher, device: Device) -> None:
    publisher.publish(some_items())
    before = {path.name for path in publisher.files("") if path.is_file()}
    enrol(publisher, device)
    after = {path.name for path in publisher.files("") if path.is_file()}
    assert {name.rpartition(".")[2] for name in after - before} == {"envelope"}


def test_a_revoked_device_cannot_read_the_next_version_and_keeps_what_it_had(
    publisher: Publisher, device: Device
) -> None:
    publisher.publish(some_items())
    enrol(publisher, device)
    join(publisher, device)
    other = Device(device.base / "other")
    enrol(publisher, other, "other")
    join(publisher, other)
    shards = {path.name for path in publisher.files("-00000")}

    revoked = members.revoke(publisher.repo, "hub", now=LATER, randomness=publisher.randomness)
    assert revoked == {"rooms": 2}
    assert {path.name for path in publisher.files("-00000")} == shards  # none sealed again
    with pytest.raises(TrustError, match="no key for this device"):
        update(device)
    assert versions(device) == {"rooms": 1}
    install.load(device.home, "rooms", keys=device.keys)
    assert update(other) == 2


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("Bad Name", "ab" * 32, "can't be the name"),
        ("hub", "short", "not 64 hex digits"),
    ],
)
def test_names_and_keys_that_cannot_be_enrolled(
    name: str, key: str, said: str, publisher: Publisher
) -> None:
    with pytest.raises(ConfigError, match=said):
        members.enrol(
            publisher.repo,
            Enrolled(name=name, public=key),
            now=NOW,
            randomness=publisher.randomness,
        )


def test_twice_and_unknown(publisher: Publisher, device: Device) -> None:
    publisher.publish(some_items())
    enrol(publisher, device)
    with pytest.raises(ConfigError, match="enrolled already"):
        enrol(publisher, device, "again")
    with pytest.raises(ConfigError, match="no device 'x'"):
        members.revoke(publisher.repo, "x", now=NOW, randomness=publisher.randomness)
    with pytest.raises(ConfigError, match="offers no catalogue 'x'"):
        enrol(publisher, Device(device.base / "b"), "b", "x")
    with pytest.raises(ConfigError, match="no role 'x'"):
        members.rotate(publisher.repo, "x", now=NOW, randomness=publisher.randomness)


def test_the_commands(publisher: Publisher, device: Device, tmp_path: Path) -> None:
    publisher.publish(some_items())  # makes the build
    repo, build = tmp_path / "public", publisher.base / "build-rooms"

    def call(command: Any, *arguments: object, code: int = 0) -> str:
        done = CliRunner().invoke(command, [str(a) for a in arguments])
        if code == 3:
            assert isinstance(done.exception, WaitingError)
            return f"{done.exception}\n{done.exception.hint}"
        assert done.exit_code == code, done.output
        return done.output

    at = ("--repo", repo)
    assert "2 of 3" in call(keys_command.keys, "init", *at, "--threshold", "2/3")
    assert call(keys_command.keys, "init", *at, "--threshold", "two", code=2)
    call(publish_command.publish, build, *at)
    call(keys_command.devices, "add", "hub", device.keys.device_public, *at)
    assert f"hub  {device.keys.device_public}  all" in call(keys_command.devices, "list", *at)
    assert "can't read it" in call(keys_command.devices, "revoke", "hub", *at)
    for role in ("timestamp", "group"):
        assert f"{role} has new keys" in call(keys_command.keys, "rotate", role, *at)
    assert "root 3 is signed" in call(keys_command.keys, "renew", *at)
    for n in (1, 2, 3):
        (tmp_path / "public.keys" / f"targets-{n}.key").replace(tmp_path / f"t{n}.key")
    hint = call(keys_command.devices, "add", "hub", device.keys.device_public, *at, code=3)
    waiting = tmp_path / "public.keys" / "pending" / "targets.json"
    assert f"keys sign {waiting}" in hint
    said = call(
        keys_command.keys,
        "sign",
        waiting,
        "--key",
        tmp_path / "t1.key",
        "--key",
        tmp_path / "t3.key",
    )
    assert "2 signatures" in said
    assert "rooms: 6 files" in said
    assert "published what waited: targets" in call(publish_command.publish, *at, "--finish")
    assert repository.catalogues(repo) == ("rooms",)
