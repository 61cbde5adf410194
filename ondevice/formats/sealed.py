"""Sealed files: the wire format of Tink's AES256_GCM_HKDF_1MB streaming AEAD (SPEC 3).

Whoever changes, cuts, extends or reorders a sealed file gets one error. Confidential towards those
without the key; says nothing about who wrote it, since every holder of the key could have.

Source: Tink wire format, "AES-GCM-HKDF streaming AEAD"; HKDF is RFC 5869, GCM is SP 800-38D.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ondevice.errors import FormatError
from ondevice.formats import limits

ALGORITHM = "AES256_GCM_HKDF_1MB"
KEY = 32  # bytes, here and below
SALT = 32
PREFIX = 7
HEADER = 1 + SALT + PREFIX
TAG = 16
SEGMENT = 1 << 20  # ciphertext of every segment but the last; the first counts the header in

_Read = Callable[[int, int, memoryview], memoryview]  # offset, length, room to use → bytes
_DAMAGED = "the sealed file has been damaged or is sealed under another key"


def aad(*parts: str) -> bytes:
    """Join `parts` so that no two sequences give the same bytes (SPEC 3.5)."""
    encoded = [part.encode("utf-8") for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def shard_aad(catalogue: str, name: str) -> bytes:
    """Bind a shard to its place: `name` in `catalogue` (SPEC 3.5)."""
    return aad("ondevice-shard/1", ALGORITHM, catalogue, name)


def manifest_aad(catalogue: str) -> bytes:
    """Bind a manifest to its catalogue (SPEC 3.5)."""
    return aad("ondevice-manifest/1", ALGORITHM, catalogue)


def seal(key: bytes, plaintext: bytes, aad: bytes, *, salt: bytes, prefix: bytes) -> bytes:
    """Seal `plaintext` under `key` (SPEC 3.1 to 3.3). Pure: the caller draws `salt` and `prefix`.

    Args:
        key: 32 secret bytes.
        plaintext: at most `limits.SHARD` bytes.
        aad: what the file is bound to; the reader needs the same.
        salt: 32 bytes, fresh and uniform for every file.
        prefix: 7 bytes, fresh and uniform for every file.

    Raises:
        FormatError: a length is wrong.
    """
    if len(salt) != SALT or len(prefix) != PREFIX or len(plaintext) > limits.SHARD:
        raise FormatError(
            f"sealing needs {SALT} bytes of salt, {PREFIX} of prefix and at most "
            f"{limits.SHARD} of plaintext; got {len(salt)}, {len(prefix)}, {len(plaintext)}"
        )
    cipher = _cipher(key, salt, aad)
    count = _segments(HEADER + len(plaintext), SEGMENT - TAG)
    out = bytearray(HEADER + len(plaintext) + count * TAG)
    out[:HEADER] = bytes([HEADER]) + salt + prefix
    source, target = memoryview(plaintext), memoryview(out)
    for index in range(count):
        start, stop = _span(index, len(plaintext), SEGMENT - TAG)
        at = start + HEADER + index * TAG
        cipher.encrypt_into(
            _nonce(prefix, index, last=index == count - 1),
            source[start:stop],
            None,
            target[at : at + stop - start + TAG],
        )
    return bytes(out)


def open_sealed(
    key: bytes, blob: bytes | bytearray | memoryview, aad: bytes, *, threads: int = 1
) -> bytearray:
    """Return the plaintext of `blob`, or fail without having returned a byte (SPEC 3.4).

    Args:
        key: 32 secret bytes.
        blob: what `seal` wrote.
        aad: what it was bound to.
        threads: how many decrypt at once, each another segment of the one plaintext.

    Raises:
        FormatError: damaged, cut, extended, reordered, bound to something else, or another key.
    """
    source = memoryview(blob)

    def read(at: int, length: int, _: memoryview) -> memoryview:
        return source[at : at + length]

    return _open(key, len(blob), read, aad, threads)


def open_file(key: bytes, path: Path, aad: bytes, *, limit: int, threads: int = 1) -> bytearray:
    """Return the plaintext of the sealed file at `path`; no more of it is held than a segment.

    Args:
        key: 32 secret bytes.
        path: of a file that `seal` wrote.
        aad: what it was bound to.
        limit: bytes of the longest file that can be right.
        threads: as in `open_sealed`.

    Raises:
        FormatError: as `open_sealed`, or longer than `limit`.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise FormatError(f"{path} is longer than it can be")

        def read(at: int, length: int, room: memoryview) -> memoryview:
            got = os.preadv(file.fileno(), [room[:length]], at)
            if got != length:  # cut while it was read
                raise FormatError(_DAMAGED)
            return room[:length]

        return _open(key, size, read, aad, threads)


def _open(key: bytes, length: int, read: _Read, aad: bytes, threads: int) -> bytearray:
    """Decrypt segment by segment into one buffer.

    The last segment goes first: its flag authenticates the length before the rest is worked on.
    """
    if length > limits.SEALED:
        raise FormatError(f"a sealed file has at most {limits.SEALED} bytes, got {length}")
    count = _segments(length, SEGMENT)
    size = length - HEADER - count * TAG
    smallest = 0 if count == 1 else 1  # only an empty plaintext has an empty segment
    if size < 0 or length - (count - 1) * SEGMENT < TAG + smallest:
        raise FormatError(_DAMAGED)
    head = bytes(read(0, HEADER, memoryview(bytearray(HEADER))))
    if head[0] != HEADER:
        raise FormatError(_DAMAGED)
    salt, prefix = head[1 : 1 + SALT], head[1 + SALT :]
    cipher = _cipher(key, salt, aad)
    out = bytearray(size)
    target = memoryview(out)

    def decrypt(indices: Iterable[int]) -> None:
        room = memoryview(bytearray(min(length, SEGMENT)))
        for index in indices:
            start, stop = _span(index, size, SEGMENT - TAG)
            sealed = read(start + HEADER + index * TAG, stop - start + TAG, room)
            nonce = _nonce(prefix, index, last=index == count - 1)
            cipher.decrypt_into(nonce, sealed, None, target[start:stop])

    try:
        decrypt([count - 1])
        workers = min(threads, count - 1)
        if workers > 1:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(decrypt, (range(k, count - 1, workers) for k in range(workers))))
        else:
            decrypt(range(count - 1))
    except InvalidTag as error:
        raise FormatError(_DAMAGED) from error
    return out


def _cipher(key: bytes, salt: bytes, info: bytes) -> AESGCM:
    if len(key) != KEY:
        raise FormatError(f"a key has {KEY} bytes, got {len(key)}")
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY, salt=salt, info=info).derive(key))


def _nonce(prefix: bytes, index: int, *, last: bool) -> bytes:
    return prefix + index.to_bytes(4, "big") + bytes([last])


def _segments(size: int, step: int) -> int:
    """How many segments `size` bytes (header included) fill; at least one."""
    return max(1, -(-size // step))


def _span(index: int, size: int, step: int) -> tuple[int, int]:
    """Where the plaintext of segment `index` starts and stops; the header shortens the first."""
    start = max(0, index * step - HEADER)
    return start, min(size, (index + 1) * step - HEADER)
