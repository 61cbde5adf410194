"""Looking for what must be gone: in every decrypted page, and in the bytes of every file.

Pages are decrypted here by SQLCipher 4's own rules, not by SQLite: what SQLite would not show any
more (free pages, the rest of a page) is looked at as well, and each page's HMAC is checked.

    file  = page 1 | page 2 | ...     page = content | IV [16] | HMAC-SHA512 [64]; page 1 begins
                                             with the salt [16] in place of its first bytes
    HMAC key = PBKDF2-HMAC-SHA512(key, salt ^ 0x3a.., 2 rounds, 32 bytes)
    HMAC     = over content | IV | page number as u32 little-endian; AES-256-CBC without padding
"""

import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.errors import IntegrityError
from ondevice.store.connection import looking_at

if TYPE_CHECKING:
    from ondevice.paths import Home

PAGE = 4096
SALT, IV, MAC = 16, 16, 64
SHORTEST = 8  # bytes of a needle: a shorter one is found by chance
NEEDLES = 64  # how many are looked for; more are drawn from by the caller
PIECE = 48  # bytes of a longer needle that are looked for: a text may go on in another page
_BLOCK = 1 << 20


def pages(path: Path, key: bytes) -> Iterator[bytes]:
    """Yield the decrypted content of every page of the database `path`, in order.

    Raises:
        IntegrityError: a page is damaged, or sealed under another key; or it can't be read.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    try:
        with looking_at(path) as handle:
            size = os.fstat(handle).st_size
            salt = os.pread(handle, SALT, 0)
            mixed = bytes(byte ^ 0x3A for byte in salt)
            mac_key = hashlib.pbkdf2_hmac("sha512", key, mixed, 2, 32)
            for number in range(1, size // PAGE + 1):
                page = os.pread(handle, PAGE, (number - 1) * PAGE)
                start = SALT if number == 1 else 0
                body, iv, mac = page[start : -IV - MAC], page[-IV - MAC : -MAC], page[-MAC:]
                told = hmac.digest(mac_key, body + iv + number.to_bytes(4, "little"), "sha512")
                if len(page) != PAGE or not hmac.compare_digest(told, mac):
                    raise IntegrityError(f"page {number} of {path.name} is damaged")
                cipher = Cipher(algorithms.AES256(key), modes.CBC(iv)).decryptor()
                yield cipher.update(body) + cipher.finalize()
    except OSError as error:
        raise IntegrityError(f"cannot read {path}: {error.strerror}") from error


def pieces(secrets: Iterable[bytes]) -> tuple[bytes, ...]:
    """Cut `secrets` into needles; too short ones are left out."""
    found: dict[bytes, None] = {}
    for secret in secrets:
        for part in (secret[:PIECE], secret[-PIECE:]):
            if len(part) >= SHORTEST:
                found[part] = None
    return tuple(found)


def found_in_pages(path: Path, key: bytes, needles: Sequence[bytes]) -> tuple[int, int]:
    """Look for `needles` in the decrypted pages of `path`; return (pages read, needles found)."""
    count = 0
    hits: set[bytes] = set()
    for page in pages(path, key):
        count += 1
        hits.update(needle for needle in needles if needle in page)
    return count, len(hits)


def found_in_files(
    folder: "Home | Path", needles: Sequence[bytes], *, skip: str = "catalogues"
) -> tuple[int, list[Path]]:
    """Look for `needles` in the raw bytes of every file below `folder`.

    Args:
        folder: of a home, or any other.
        needles: what must not be there.
        skip: the name of a folder in it that holds nothing of the person.

    Returns:
        How many files were read, and those that hold a needle.
    """
    root = folder if isinstance(folder, Path) else folder.root
    count, guilty = 0, []
    overlap = max((len(needle) for needle in needles), default=1) - 1
    for path in sorted(root.rglob("*")):
        if skip in path.relative_to(root).parts[:1] or path.is_symlink() or not path.is_file():
            continue
        count += 1
        try:
            if any(_holds(block, needles) for block in _blocks(path, overlap)):
                guilty.append(path)
        except FileNotFoundError:  # a log that its last connection has just folded
            continue
    return count, guilty


def _holds(block: bytes, needles: Sequence[bytes]) -> bool:
    return any(needle in block for needle in needles)


def _blocks(path: Path, overlap: int) -> Iterator[bytes]:
    with looking_at(path) as handle:
        at = 0
        while block := os.pread(handle, _BLOCK + overlap, at):
            yield block
            at += _BLOCK
