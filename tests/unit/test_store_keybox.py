"""The keybox: what it opens with, what it refuses, and that it is replaced at a stroke."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ondevice.errors import (
    ConfigError,
    FormatError,
    IntegrityError,
    NotReadyError,
    OnDeviceError,
)
from ondevice.paths import Home
from ondevice.privacy.randomness import SystemRandomness
from ondevice.store import Store, files, keybox
from ondevice.store.keys import Keys
from ondevice.store.seal import Seal

RANDOM = SystemRandomness()
PEPPER = bytes(range(32))
UNDER = Seal(pepper=PEPPER)


def full_box() -> keybox.Keybox:
    return keybox.Keybox(
        store_key=b"s" * 32,
        ledger_key=b"l" * 32,
        device_private=b"d" * 32,
        secrets={"group/films": b"\x00\xff" * 16, "group/shop": b"k" * 32},
        counter=7,
        head=b"h" * 32,
        pending=b"p" * 32,
        newest=1_790_000_000,
        rows={1: 80, 2: 3},
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    Store.open(home).close()
    return home


def test_what_goes_in_comes_out() -> None:
    for box in (full_box(), replace(full_box(), pending=None, secrets={}, rows={})):
        blob = keybox.encode(box, under=UNDER, randomness=RANDOM)
        assert keybox.decode(blob, under=UNDER) == box


def test_no_secret_shows_in_the_file_or_in_a_message() -> None:
    box = full_box()
    blob = keybox.encode(box, under=UNDER, randomness=RANDOM)
    for secret in (box.store_key, box.ledger_key, box.device_private, *box.secrets.values()):
        assert secret not in blob
        assert secret.hex().encode() not in blob
        assert secret.hex() not in repr(box)
        assert repr(secret)[2:-1] not in repr(box)


def test_salt_and_nonce_are_fresh_in_every_file() -> None:
    blobs = [keybox.encode(full_box(), under=UNDER, randomness=RANDOM) for _ in range(50)]
    assert len({blob[36:80] for blob in blobs}) == 50  # salt 32, nonce 12


def test_every_flipped_byte_is_refused() -> None:
    blob = keybox.encode(full_box(), under=UNDER, randomness=RANDOM)
    for at in range(len(blob)):
        damaged = bytearray(blob)
        damaged[at] ^= 1
        with pytest.raises(FormatError) as caught:
            keybox.decode(bytes(damaged), under=UNDER)
        assert caught.value.hint


@pytest.mark.parametrize("cut", [0, 1, 4, 67, 79, 80, 95, -1])
def test_a_cut_file_is_refused(cut: int) -> None:
    blob = keybox.encode(full_box(), under=UNDER, randomness=RANDOM)
    with pytest.raises(FormatError):
        keybox.decode(blob[:cut], under=UNDER)
    with pytest.raises(FormatError):
        keybox.decode(blob + b"\0", under=UNDER)
    with pytest.raises(FormatError, match="cannot have"):
        keybox.decode(bytes(keybox.MAX_SIZE + 1), under=UNDER)


def test_another_pepper_does_not_open_it() -> None:
    blob = keybox.encode(full_box(), under=UNDER, randomness=RANDOM)
    with pytest.raises(FormatError, match=r"device\.key belongs to another"):
        keybox.decode(blob, under=Seal(pepper=bytes(32)))


def test_a_newer_version_asks_for_an_upgrade() -> None:
    blob = bytearray(keybox.encode(full_box(), under=UNDER, randomness=RANDOM))
    blob[4] = 3
    with pytest.raises(FormatError) as caught:
        keybox.decode(bytes(blob), under=UNDER)
    assert "upgrade" in caught.value.hint


def remove_pepper(home: Home) -> None:
    home.pepper.unlink()


def short_pepper(home: Home) -> None:
    home.pepper.write_bytes(b"short")


def foreign_pepper(home: Home) -> None:
    home.pepper.write_bytes(b"\x11" * 32)


def damaged_keybox(home: Home) -> None:
    blob = bytearray(home.keybox.read_bytes())
    blob[len(blob) // 2] ^= 1
    home.keybox.write_bytes(bytes(blob))


def empty_keybox(home: Home) -> None:
    home.keybox.write_bytes(b"")


def remove_keybox(home: Home) -> None:
    home.keybox.unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (remove_pepper, "cannot be opened without it"),
        (short_pepper, "must have 32 bytes"),
        (foreign_pepper, "belongs to another one"),
        (damaged_keybox, "damaged"),
        (empty_keybox, "cannot have 0 bytes"),
        (remove_keybox, "is missing"),
    ],
)
def test_a_harmed_home_is_refused_with_advice_and_left_alone(
    home: Home, harm: Callable[[Home], None], words: str
) -> None:
    harm(home)
    before = {path.name: path.read_bytes() for path in home.root.iterdir()}

    with pytest.raises(IntegrityError, match=words) as caught:
        Store.open(home)

    assert caught.value.exit_code == 5
    assert "backup" in caught.value.hint
    assert {path.name: path.read_bytes() for path in home.root.iterdir()} == before


def test_nothing_there_is_not_ready_unless_it_may_be_made(tmp_path: Path) -> None:
    home = Home(tmp_path / "none")
    with pytest.raises(NotReadyError) as caught:
        Store.open(home, create=False)
    assert caught.value.exit_code == 3
    assert not home.root.exists()
    with pytest.raises(NotReadyError):
        keybox.read(home)


def test_a_creation_that_was_interrupted_is_finished(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.root.mkdir(mode=0o700)
    home.pepper.touch(mode=0o600)
    home.pepper.write_bytes(PEPPER)
    home.root.joinpath("keybox.new.key").write_bytes(b"half of a keyb")

    Store.open(home).close()

    assert home.pepper.read_bytes() == PEPPER
    names = {p.name for p in home.root.iterdir()}
    assert names == {"device.key", "keybox", "store.db", "store.lock"}


@pytest.mark.parametrize("name", ["device.key", "keybox", "store.db", "."])
def test_looser_modes_are_refused_and_the_hint_repairs_them(home: Home, name: str) -> None:
    path = home.root / name
    good = path.stat().st_mode
    for loose in (0o040, 0o004, 0o020, 0o010):
        path.chmod(good | loose)
        with pytest.raises(ConfigError, match="others may open") as caught:
            Store.open(home)
        assert caught.value.exit_code == 2
        command, wanted, where = caught.value.hint.removeprefix("run: ").split()
        assert command == "chmod"
        Path(where).chmod(int(wanted, 8))
        Store.open(home).close()


def test_what_is_not_a_file_of_ours_is_refused(home: Home, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    home.keybox.rename(aside)
    home.keybox.symlink_to(aside)
    with pytest.raises(ConfigError, match="not an ordinary file"):
        Store.open(home)

    blocked = tmp_path / "file"
    blocked.touch(mode=0o600)
    with pytest.raises(ConfigError, match="not an ordinary folder"):
        Store.open(Home(blocked))
    with pytest.raises(ConfigError, match="cannot create"):
        Store.open(Home(blocked / "deeper"))


def test_files_are_made_for_the_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "home")
    before = os.umask(0)
    try:
        with Store.open(home) as store:
            store.emitted.items("x")
            modes = {p.name: p.stat().st_mode & 0o777 for p in home.root.iterdir()}
    finally:
        os.umask(before)
    assert modes.pop("store.db") == 0o600
    assert {"device.key", "keybox"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert home.root.stat().st_mode & 0o777 == 0o700


def test_a_full_keybox_says_so() -> None:
    box = full_box()
    crowded = replace(box, secrets={f"n{i}": b"x" for i in range(keybox.MAX_SECRETS)})
    with pytest.raises(ConfigError, match="full"):
        keybox.with_secret(crowded, "one more", b"x")
    huge = replace(box, secrets={"big": bytes(keybox.MAX_SIZE)})
    with pytest.raises(ConfigError, match="full"):
        keybox.encode(huge, under=UNDER, randomness=RANDOM)


def test_secrets_are_kept_by_name(home: Home) -> None:
    keys = Keys(home, RANDOM)
    keys.put("group/films", b"\x01" * 32)
    keys.put("group/shop", b"\x02" * 32)
    keys.put("group/films", b"\x03" * 32)
    keys.drop("group/shop")
    keys.drop("group/never")

    with Store.open(home) as store:
        assert store.keys.get("group/films") == b"\x03" * 32
        assert store.keys.get("group/shop") is None
        assert len(store.keys.device_private) == 32


def test_two_homes_share_no_key(tmp_path: Path) -> None:
    boxes = []
    for name in "ab":
        home = Home(tmp_path / name)
        Store.open(home).close()
        boxes.append(keybox.read(home))
    keys = {k for box in boxes for k in (box.store_key, box.ledger_key, box.device_private)}
    assert len(keys) == 6


def test_the_newest_time_is_remembered_when_the_clock_is_set_back(home: Home) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    keys = Keys(home, RANDOM)
    assert keys.newest_time(noon) == noon
    assert keys.newest_time(noon - timedelta(days=30)) == noon
    assert Keys(home, RANDOM).newest_time(noon - timedelta(days=1)) == noon

    before = home.keybox.read_bytes()
    later = noon + timedelta(minutes=59)
    assert keys.newest_time(later) == later
    assert home.keybox.read_bytes() == before  # not written again for less than an hour


def test_replacing_leaves_the_new_file_alone_and_no_draft(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    files.replace(target, b"one")
    files.replace(target, b"two")
    assert target.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]


def test_a_disk_that_does_not_take_it_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(OnDeviceError, match="cannot write"):
        files.replace(tmp_path / "missing" / "thing", b"x")
