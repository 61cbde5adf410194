"""Sealed files, held against a second implementation written straight from the wire format."""

import hashlib
import hmac
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ondevice.errors import FormatError
from ondevice.formats import limits, sealed

KEY, SALT, PREFIX = bytes(range(32)), bytes(range(100, 132)), bytes(range(200, 207))
AAD = sealed.shard_aad("films", "codes-00000")
FIRST = (1 << 20) - 16 - 40
NEXT = (1 << 20) - 16
BOUNDARIES = [
    0,
    1,
    FIRST - 1,
    FIRST,
    FIRST + 1,
    1 << 20,
    FIRST + NEXT - 1,
    FIRST + NEXT,
    FIRST + NEXT + 1,
    FIRST + 2 * NEXT,
]


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def by_hand(key: bytes, plaintext: bytes, aad: bytes, salt: bytes, prefix: bytes) -> bytes:
    """The format again: HKDF from HMAC, segments cut off one by one."""
    extracted = hmac.digest(salt, key, "sha256")
    cipher = AESGCM(hmac.digest(extracted, aad + b"\x01", "sha256"))
    pieces, rest = [plaintext[:FIRST]], plaintext[FIRST:]
    while rest:
        pieces.append(rest[:NEXT])
        rest = rest[NEXT:]
    out = b"\x28" + salt + prefix
    for index, piece in enumerate(pieces):
        flag = b"\x01" if index == len(pieces) - 1 else b"\x00"
        out += cipher.encrypt(prefix + index.to_bytes(4, "big") + flag, piece, b"")
    return out


def seal(plaintext: bytes) -> bytes:
    return sealed.seal(KEY, plaintext, AAD, salt=SALT, prefix=PREFIX)


def refused(blob: bytes, key: bytes = KEY, aad: bytes = AAD) -> None:
    with pytest.raises(FormatError, match="damaged or is sealed under another key"):
        sealed.open_sealed(key, blob, aad)


@pytest.mark.parametrize("size", BOUNDARIES)
def test_the_bytes_are_those_of_the_wire_format(size: int) -> None:
    blob = seal(pattern(size))

    assert blob == by_hand(KEY, pattern(size), AAD, SALT, PREFIX)
    assert sealed.open_sealed(KEY, blob, AAD) == pattern(size)
    assert sealed.open_sealed(KEY, memoryview(bytearray(blob)), AAD) == pattern(size)


def test_every_bit_of_a_small_file_counts() -> None:
    blob = seal(b"seven words that nobody else should read")
    for place in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[place // 8] ^= 1 << place % 8
        refused(bytes(damaged))


def test_every_length_but_the_right_one_is_refused() -> None:
    blob = seal(b"short")
    for size in range(len(blob)):
        refused(blob[:size])
    refused(blob + b"\x00")
    refused(b"")


def test_segments_cannot_be_cut_swapped_doubled_or_dropped() -> None:
    blob = seal(pattern(FIRST + 2 * NEXT))
    a, b, c = (blob[at : at + (1 << 20)] for at in range(0, len(blob), 1 << 20))

    for forged in (
        a,
        a + b,  # cut at the end of a segment
        a + b + c[:-1],
        a + b + c[:16],  # a tag alone
        a + b + c[:15],
        a + c + b,
        a + b + b,
        a + b + c + c,
        a + c,
        a[:40] + b[40:] + b + c,
        b + c,
    ):
        refused(forged)


def test_an_honest_writer_never_ends_with_an_empty_segment() -> None:
    cipher = AESGCM(hmac.digest(hmac.digest(SALT, KEY, "sha256"), AAD + b"\x01", "sha256"))
    forged = b"\x28" + SALT + PREFIX
    forged += cipher.encrypt(PREFIX + b"\0\0\0\0\0", pattern(FIRST), b"")
    forged += cipher.encrypt(PREFIX + b"\0\0\0\1\1", b"", b"")
    refused(forged)


def test_another_key_or_place_does_not_open() -> None:
    blob = seal(b"x")
    refused(blob, key=bytes(32))
    refused(blob, aad=sealed.shard_aad("films", "codes-00001"))
    refused(blob, aad=sealed.shard_aad("book", "codes-00000"))
    refused(blob, aad=sealed.manifest_aad("films"))
    refused(blob, aad=b"")


def test_lengths_are_checked_first() -> None:
    with pytest.raises(FormatError, match="a key has 32"):
        sealed.seal(KEY[:31], b"", AAD, salt=SALT, prefix=PREFIX)
    with pytest.raises(FormatError, match="a key has 32"):
        sealed.open_sealed(KEY + b"x", seal(b""), AAD)
    with pytest.raises(FormatError, match="of salt"):
        sealed.seal(KEY, b"", AAD, salt=SALT[:31], prefix=PREFIX)
    with pytest.raises(FormatError, match="of prefix"):
        sealed.seal(KEY, b"", AAD, salt=SALT, prefix=PREFIX + b"x")
    with pytest.raises(FormatError, match="of plaintext"):
        sealed.seal(KEY, bytes(limits.SHARD + 1), AAD, salt=SALT, prefix=PREFIX)
    with pytest.raises(FormatError, match="at most"):
        sealed.open_sealed(KEY, bytes(limits.SEALED + 1), AAD)


def test_the_largest_shard_fits_the_limit_of_sealed_files() -> None:
    segments = -(-(limits.SHARD + sealed.HEADER) // (sealed.SEGMENT - sealed.TAG))
    assert limits.SHARD + sealed.HEADER + segments * sealed.TAG <= limits.SEALED


def test_no_two_lists_of_parts_bind_alike() -> None:
    lists = [(), ("",), ("a",), ("a", ""), ("", "a"), ("a", "b"), ("ab",), ("a", "b", ""), ("é",)]
    assert len({sealed.aad(*parts) for parts in lists}) == len(lists)
    assert sealed.aad("ab", "é") == b"\0\0\0\2ab\0\0\0\2\xc3\xa9"


def test_what_a_shard_is_bound_to_is_frozen() -> None:
    assert hashlib.sha256(AAD).hexdigest() == (
        hashlib.sha256(
            b"\0\0\0\x10ondevice-shard/1\0\0\0\x13AES256_GCM_HKDF_1MB\0\0\0\5films\0\0\0\x0bcodes-00000"
        ).hexdigest()
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("size", [0, 1, FIRST, FIRST + 1, FIRST + 3 * NEXT + 7])
def test_several_threads_and_a_file_give_the_same_plaintext(
    size: int, threads: int, tmp_path: Path
) -> None:
    path, blob = tmp_path / "shard", seal(pattern(size))
    path.write_bytes(blob)

    assert sealed.open_sealed(KEY, blob, AAD, threads=threads) == pattern(size)
    opened = sealed.open_file(KEY, path, AAD, limit=len(blob), threads=threads)
    assert opened == pattern(size)


@pytest.mark.parametrize("threads", [1, 3])
def test_damage_anywhere_is_seen_by_any_thread(threads: int, tmp_path: Path) -> None:
    path, blob = tmp_path / "shard", seal(pattern(FIRST + 3 * NEXT))
    for place in (0, 1, 39, 40, 1 << 20, 2 << 20, 3 << 20, len(blob) - 1):
        damaged = bytearray(blob)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match="damaged"):
            sealed.open_file(KEY, path, AAD, limit=len(blob), threads=threads)
    with pytest.raises(FormatError, match="longer than it can be"):
        sealed.open_file(KEY, path, AAD, limit=len(blob) - 1, threads=threads)
    with pytest.raises(FileNotFoundError):
        sealed.open_file(KEY, tmp_path / "none", AAD, limit=1)


def test_a_file_cut_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, blob = tmp_path / "shard", seal(pattern(3 * NEXT))
    path.write_bytes(blob)
    real = os.preadv

    def preadv(file: int, buffers: list[memoryview], at: int) -> int:
        os.truncate(path, len(blob) // 2)
        return real(file, buffers, at)

    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(FormatError, match="damaged"):
        sealed.open_file(KEY, path, AAD, limit=len(blob))
