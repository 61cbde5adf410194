"""Envelopes and invitations: who gets a key, and what a stranger sees."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ondevice.errors import FormatError, TrustError
from ondevice.formats import canonical, envelope, invite, limits
from ondevice.formats.invite import Invite

MINE, THEIRS, STRANGER = (X25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i in (1, 2, 3))
KEY = bytes(range(32))
PUBLIC = {envelope.key_id(k.public_key()): k.public_key() for k in (MINE, THEIRS)}


def wrapped(epoch: int = 7) -> bytes:
    return envelope.wrap(KEY, PUBLIC, catalogue="films", epoch=epoch)


def test_every_recipient_unwraps() -> None:
    blob = wrapped()
    for private in (MINE, THEIRS):
        assert envelope.unwrap(blob, private, catalogue="films") == (KEY, 7)
    assert envelope.unwrap(memoryview(blob), MINE, catalogue="films") == (KEY, 7)


def test_wrapping_draws_afresh() -> None:
    assert wrapped() != wrapped()


def test_the_wrapped_key_is_plain_hpke() -> None:
    info = b"\0\0\0\x13ondevice-envelope/1\0\0\0\5films\0\0\0\x017"
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    part = json.loads(wrapped())["wrapped"][envelope.key_id(MINE.public_key())]
    assert suite.decrypt(bytes.fromhex(part), MINE, info) == KEY


def test_the_id_of_a_key_is_frozen() -> None:
    assert envelope.key_id(MINE.public_key()) == "1a92f23852dc908d"


def test_a_stranger_is_told_what_to_do() -> None:
    with pytest.raises(TrustError, match="no key for this device") as caught:
        envelope.unwrap(wrapped(), STRANGER, catalogue="films")
    assert "invitation" in caught.value.hint


def test_an_envelope_opens_one_catalogue_and_epoch() -> None:
    with pytest.raises(TrustError, match="'films', not 'books'"):
        envelope.unwrap(wrapped(), MINE, catalogue="books")
    for change in ({"catalogue": "books"}, {"epoch": 8}):
        moved = canonical.dump(json.loads(wrapped()) | change)
        with pytest.raises(FormatError, match="damaged"):
            envelope.unwrap(moved, MINE, catalogue=str(change.get("catalogue", "films")))


def test_parts_cannot_be_exchanged_or_changed() -> None:
    table = json.loads(wrapped())
    first, second = table["wrapped"]
    swapped = {first: table["wrapped"][second], second: table["wrapped"][first]}
    for parts in (swapped, dict.fromkeys(table["wrapped"], "00" * 80)):
        with pytest.raises(FormatError, match="damaged"):
            envelope.unwrap(canonical.dump(table | {"wrapped": parts}), MINE, catalogue="films")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "ondevice-envelope/2"},
        {"catalogue": "../x"},
        {"epoch": -1},
        {"epoch": True},
        {"wrapped": []},
        {"wrapped": {"short": "00" * 80}},
        {"wrapped": {"0" * 16: "00" * 79}},
        {"wrapped": {"0" * 16: "AB" * 80}},
        {"wrapped": {"0" * 16: None}},
        {"extra": 1},
    ],
)
def test_malformed_envelopes(change: dict[str, object]) -> None:
    blob = canonical.dump(json.loads(wrapped()) | change)
    with pytest.raises(FormatError):
        envelope.unwrap(blob, MINE, catalogue="films")


def test_what_cannot_be_unwrapped_is_not_wrapped() -> None:
    with pytest.raises(FormatError, match="32 bytes"):
        envelope.wrap(KEY[1:], PUBLIC, catalogue="films", epoch=0)
    with pytest.raises(FormatError, match="not the id"):
        envelope.wrap(KEY, {"0" * 16: MINE.public_key()}, catalogue="films", epoch=0)
    with pytest.raises(FormatError, match="catalogue"):
        envelope.wrap(KEY, PUBLIC, catalogue="Films", epoch=0)
    with pytest.raises(FormatError, match="epoch"):
        envelope.wrap(KEY, PUBLIC, catalogue="films", epoch=-1)


INVITE = Invite(
    url="https://example.org/catalogues/",
    catalogues=("books", "films"),
    root=b'{"signed": {"title": "\xc3\xa9"}}\n',
    group_private=bytes(range(32)),
)


@pytest.mark.parametrize(
    "given",
    [INVITE, replace(INVITE, url="file:///srv/catalogues", catalogues=())],
    ids=["web", "folder"],
)
def test_an_invitation_comes_back(given: Invite) -> None:
    blob = invite.encode(given)
    assert blob.endswith(b"}\n")
    for variant in (blob, blob.rstrip(), blob + b"\r\n\n"):
        assert invite.decode(variant) == given


def test_an_invitation_hides_its_key_from_logs() -> None:
    assert INVITE.group_private.hex() not in repr(INVITE)
    assert "group_private" not in repr(INVITE)


@pytest.mark.parametrize(
    "given",
    [
        replace(INVITE, url="http://example.org/"),
        replace(INVITE, url="https://exa mple.org/"),
        replace(INVITE, url="https://" + "a" * limits.URL),
        replace(INVITE, catalogues=("films", "books")),
        replace(INVITE, catalogues=("films", "films")),
        replace(INVITE, catalogues=("../films",)),
        replace(INVITE, root=b""),
        replace(INVITE, root=b"\xff"),
        replace(INVITE, root=b"x" * (limits.INVITE // 2 + 1)),
        replace(INVITE, root=b"\x00" * (limits.INVITE // 4)),
        replace(INVITE, group_private=b"short"),
    ],
    ids=range(11),
)
def test_what_a_reader_would_refuse_is_not_written(given: Invite) -> None:
    with pytest.raises(FormatError):
        invite.encode(given)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"root": 7},
        {"catalogues": [7]},
        {"catalogues": "films"},
        {"group_private": "AB" * 32},
        {"extra": ""},
    ],
)
def test_malformed_invitations(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        invite.decode(canonical.dump(json.loads(invite.encode(INVITE)) | change))


def test_a_large_file_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(FormatError, match="more than"):
        invite.decode(b"\n" * (limits.INVITE + 1))
