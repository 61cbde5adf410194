"""What somebody in between, at the host or at the device may try, and what comes of it."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ondevice.errors import (
    IntegrityError,
    NotReadyError,
    RollbackError,
    TrustError,
)
from ondevice.updates import install, shelf, staging
from server_tools.publish import keys
from tests.publishing import NOW, Device, Publisher, rewrite_invite, snapshot, some_items

LATER = NOW + timedelta(days=3)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    base = tmp_path / "publisher"
    base.mkdir()
    publisher = Publisher(base).init()
    publisher.publish(some_items())
    return publisher


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "device")


@pytest.fixture
def joined(publisher: Publisher, device: Device) -> Device:
    assert install.add(device.home, publisher.invite(), keys=device.keys, now=NOW) == ["rooms"]
    return device


def titles(device: Device) -> list[str]:
    catalogue = install.load(device.home, "rooms", keys=device.keys)
    return [catalogue.records[row].title for row in range(len(catalogue))]


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


# Interference. Each leaves the version that was there, and for a new one nothing at all.


def shard(publisher: Publisher) -> None:
    for path in publisher.files(".records-00000"):
        flip(path, path.stat().st_size // 2)


def head(publisher: Publisher) -> None:
    flip(publisher.files(".manifest")[-1], 50)


def wrapped(publisher: Publisher) -> None:
    flip(publisher.files(".envelope")[-1], 50)


def longer(publisher: Publisher) -> None:
    with publisher.files(".codes-00000")[-1].open("ab") as file:
        file.write(b"x")


def swapped(publisher: Publisher) -> None:
    records, codes = publisher.files(".records-00000")[-1], publisher.files(".codes-00000")[-1]
    codes.write_bytes(records.read_bytes())


def stamp(publisher: Publisher) -> None:
    path = publisher.metadata("timestamp.json")
    path.write_bytes(path.read_bytes().replace(b"2026-01-2", b"2036-01-2"))


def strange(publisher: Publisher) -> None:
    """Everything signed, by somebody else's keys."""
    shutil.rmtree(publisher.repo)
    shutil.rmtree(keys.folder(publisher.repo))
    publisher.init().publish(some_items(changed=2))
    publisher.publish(some_items(changed=3))


INTERFERENCE = [shard, head, wrapped, longer, swapped, stamp, strange]


@pytest.mark.parametrize("interfere", INTERFERENCE)
def test_a_new_device_installs_nothing_of_it(
    interfere: Any, publisher: Publisher, device: Device
) -> None:
    invitation = publisher.invite()
    interfere(publisher)
    with pytest.raises(IntegrityError) as caught:
        install.add(device.home, invitation, keys=device.keys, now=NOW)

    assert caught.value.exit_code == 5
    assert install.installed(device.home) == []
    assert device.keys == {}
    assert not [name for name in snapshot(device.home.catalogues) if name != ".lock"]


# The envelope has not changed, so a device that has it never asks for the damaged one.
@pytest.mark.parametrize("interfere", [i for i in INTERFERENCE if i is not wrapped])
def test_a_device_that_has_a_version_keeps_it(
    interfere: Any, publisher: Publisher, joined: Device
) -> None:
    publisher.publish(some_items(changed=1), now=LATER)
    before = snapshot(joined.home.catalogues)
    interfere(publisher)
    with pytest.raises(IntegrityError) as caught:
        install.update(joined.home, "rooms", keys=joined.keys, now=LATER)

    assert caught.value.exit_code == 5
    assert snapshot(joined.home.catalogues) == before
    assert titles(joined)[1] == "kettle number 1"


def test_a_source_that_goes_back_in_time(
    tmp_path: Path, publisher: Publisher, joined: Device
) -> None:
    old = tmp_path / "old"
    shutil.copytree(publisher.repo, old)
    publisher.publish(some_items(changed=1), now=LATER)
    install.update(joined.home, "rooms", keys=joined.keys, now=LATER)
    shutil.rmtree(publisher.repo)
    old.rename(publisher.repo)

    with pytest.raises(RollbackError):
        install.update(joined.home, "rooms", keys=joined.keys, now=LATER)
    assert titles(joined)[1] == "kettle number 1 (new)"


def test_signed_by_the_right_keys_and_an_older_catalogue_all_the_same(
    publisher: Publisher, joined: Device
) -> None:
    built = shelf.read(joined.home.catalogues / "rooms")
    assert built is not None
    manifest = shelf.open_manifest(
        (built.folder / "manifest").read_bytes(),
        keys.read_state(publisher.repo)["rooms"].key,
        "rooms",
    )
    for version, error in ((3, RollbackError), (1, TrustError)):
        with pytest.raises(error):
            staging._newer(manifest, replace(built, version=version))


def test_a_wrong_root_in_the_invitation(
    tmp_path: Path, publisher: Publisher, device: Device
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = Publisher(other).init()
    invitation = rewrite_invite(
        publisher.invite(), root=stranger.metadata("1.root.json").read_bytes()
    )
    with pytest.raises(TrustError, match="not signed by enough"):
        install.add(device.home, invitation, keys=device.keys, now=NOW)
    assert install.installed(device.home) == []


def test_a_wrong_group_key_in_the_invitation(publisher: Publisher, device: Device) -> None:
    invitation = rewrite_invite(publisher.invite(), group_private=bytes(range(32)))
    with pytest.raises(TrustError, match="no key for this device"):
        install.add(device.home, invitation, keys=device.keys, now=NOW)
    assert device.keys == {}
    assert install.installed(device.home) == []


@pytest.mark.parametrize("gone", [".codes-00000", ".manifest", ".envelope"])
def test_a_file_that_is_missing_at_the_source(
    gone: str, publisher: Publisher, device: Device
) -> None:
    publisher.files(gone)[-1].unlink()
    with pytest.raises(NotReadyError, match="is not there") as caught:
        install.add(device.home, publisher.invite(), keys=device.keys, now=NOW)
    assert caught.value.exit_code == 3
    assert install.installed(device.home) == []


def test_what_arrived_whole_is_not_fetched_again(publisher: Publisher, device: Device) -> None:
    path = publisher.files(".records-00000")[-1]
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(NotReadyError):
        install.add(device.home, publisher.invite(), keys=device.keys, now=NOW)
    staged = set(snapshot(staging.folder_of(device.home, "rooms")))
    assert len(staged) == 2  # codes and bias come before records

    path.write_bytes(content)
    for other in (*publisher.files(".codes-00000"), *publisher.files(".bias-00000")):
        other.unlink()  # so it could only come from the first try
    install.add(device.home, publisher.invite(), keys=device.keys, now=NOW)
    assert len(titles(device)) == 12


def test_a_source_that_is_missing_altogether(publisher: Publisher, device: Device) -> None:
    invitation = publisher.invite()
    shutil.rmtree(publisher.repo)
    with pytest.raises(NotReadyError, match="is not there"):
        install.add(device.home, invitation, keys=device.keys, now=NOW)


def test_offline_keeps_what_is_there(publisher: Publisher, joined: Device) -> None:
    pointer = joined.home.catalogues / "rooms" / "active"
    one = install.installed(joined.home)[0]
    pointer.write_bytes(shelf.encode(replace(one, origin="https://no-such-host.invalid/repo")))

    with pytest.raises(NotReadyError, match=r"^offline"):
        install.update(joined.home, "rooms", keys=joined.keys, now=NOW)
    assert len(titles(joined)) == 12


# What somebody may do to the files on the device.


@pytest.mark.parametrize("part", ["manifest", "envelope", "trust", "shard", "active"])
def test_changed_files_on_the_device_are_noticed(part: str, joined: Device) -> None:
    version = install.installed(joined.home)[0].folder
    if part == "shard":
        path = sorted((joined.home.catalogues / "rooms" / "shards").iterdir())[0]
    else:
        path = joined.home.catalogues / "rooms" / part if part == "active" else version / part
    flip(path, 1 if part == "active" else path.stat().st_size // 2)

    with pytest.raises(IntegrityError) as caught:
        install.load(joined.home, "rooms", keys=joined.keys)
    assert caught.value.exit_code == 5


def test_missing_files_on_the_device_say_what_to_do(joined: Device) -> None:
    shutil.rmtree(joined.home.catalogues / "rooms" / "shards")
    with pytest.raises(NotReadyError, match="is missing") as caught:
        install.load(joined.home, "rooms", keys=joined.keys)
    assert "catalogue update" in caught.value.hint


@pytest.mark.parametrize("note", [{"version": 9}, {"title": "Free money"}, {"items": 3}])
def test_notes_that_differ_from_what_was_signed(note: dict[str, Any], joined: Device) -> None:
    pointer = joined.home.catalogues / "rooms" / "active"
    one = install.installed(joined.home)[0]
    pointer.write_bytes(shelf.encode(replace(one, **note)))
    with pytest.raises(TrustError, match="not what its publisher signed"):
        install.load(joined.home, "rooms", keys=joined.keys)
