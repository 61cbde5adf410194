"""What a keybox is sealed under: anchor, pepper, passphrase. Pure; where they lie is unlock.py.

    header = "ODKB" | version u8 | parts u8 | kdf u8 | 0 u8 | kdf parameters [28] | salt [32]
    KEK    = HKDF-SHA256(anchor | pepper | Argon2id(passphrase), salt, info "ondevice keybox 1")

Each part of the key material is 32 bytes, and `parts` in the authenticated header says which are
there, so no two combinations can be confused. The pepper (`device.key`) always is. `kdf` 0 means
no passphrase; 1 means Argon2id, and its parameters are salt [16] | KiB u32 | passes u32 | lanes
u32. They are bounded before anything is computed, since a header is read before it is trusted.
"""

import struct
from dataclasses import dataclass, field

from ondevice.errors import FormatError

MAGIC = b"ODKB"
VERSION = 2
READABLE = (1, 2)  # version 1 knew no generation
KEY = 32  # bytes of every key, digest, part and salt here
BOTH = "put keybox and device.key back from one backup; without them nobody can open the store"
HEAD = struct.Struct(">4sBBBB28s32s")
ANCHOR, PEPPER, PASSPHRASE = 1, 2, 4  # bits of `parts`
_INFO = b"ondevice keybox 1"
_KDF = struct.Struct(">16sIII")
_BOUNDS = ((8 << 10, 1 << 20), (1, 16), (1, 16))  # KiB of memory, passes, lanes


@dataclass(frozen=True, slots=True, kw_only=True)
class Kdf:
    """How a passphrase is stretched: Argon2id, 64 MiB and 3 passes unless a header says else."""

    salt: bytes  # 16
    memory: int = 64 << 10  # KiB
    passes: int = 3
    lanes: int = 1

    def stretch(self, passphrase: str) -> bytes:
        """Return 32 bytes; a third of a second of one core, on purpose."""
        import unicodedata

        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        kdf = Argon2id(
            salt=self.salt,
            length=KEY,
            iterations=self.passes,
            lanes=self.lanes,
            memory_cost=self.memory,
        )
        return kdf.derive(unicodedata.normalize("NFC", passphrase).encode("utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a keybox says of itself before it is opened."""

    raw: bytes
    version: int
    anchor: bool
    kdf: Kdf | None  # None: no passphrase


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Everything that a keybox is sealed under."""

    pepper: bytes = field(repr=False)
    anchor: bytes | None = field(default=None, repr=False)
    kdf: Kdf | None = None
    stretched: bytes | None = field(default=None, repr=False)  # of the passphrase, by `kdf`

    def header(self, salt: bytes) -> bytes:
        """Write the header of a keybox sealed under this."""
        parts = PEPPER | (ANCHOR if self.anchor else 0) | (PASSPHRASE if self.kdf else 0)
        kdf = self.kdf
        packed = _KDF.pack(kdf.salt, kdf.memory, kdf.passes, kdf.lanes) if kdf else bytes(_KDF.size)
        return HEAD.pack(MAGIC, VERSION, parts, int(kdf is not None), 0, packed, salt)

    def key(self, header: bytes) -> bytes:
        """Return the key that encrypts the keybox with `header`."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        material = (self.anchor or b"") + self.pepper + (self.stretched or b"")
        kdf = HKDF(algorithm=SHA256(), length=KEY, salt=header[-KEY:], info=_INFO)
        return kdf.derive(material)


def parse(blob: bytes) -> Header:
    """Read the header at the start of `blob`.

    Raises:
        FormatError: it is none, of another version, or asks for what nobody would write.
    """
    if len(blob) < HEAD.size:
        raise FormatError(f"a keybox cannot have {len(blob)} bytes", hint=BOTH)
    magic, version, parts, kdf, zero, packed, _ = HEAD.unpack_from(blob)
    if magic != MAGIC or zero:
        raise FormatError("this file is not a keybox", hint=BOTH)
    if version not in READABLE:
        raise FormatError(
            f"the keybox has version {version}, this program knows {VERSION}",
            hint="upgrade ondevice-rec",
        )
    known = parts & PEPPER and not parts & ~(ANCHOR | PEPPER | PASSPHRASE)
    if not known or kdf != int(bool(parts & PASSPHRASE)) or (not kdf and any(packed)):
        raise FormatError("the keybox is damaged: it asks for keys that don't exist", hint=BOTH)
    stretching = None
    if kdf:
        salt, *numbers = _KDF.unpack(packed)
        for number, (low, high) in zip(numbers, _BOUNDS, strict=True):
            if not low <= number <= high:
                raise FormatError("the keybox is damaged: its passphrase costs too much", hint=BOTH)
        stretching = Kdf(salt=salt, memory=numbers[0], passes=numbers[1], lanes=numbers[2])
    return Header(
        raw=blob[: HEAD.size], version=version, anchor=bool(parts & ANCHOR), kdf=stretching
    )
