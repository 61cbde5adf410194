"""Envelopes: the key of a catalogue, wrapped for groups and single devices (SPEC 9).

HPKE (RFC 9180), base mode, X25519, HKDF-SHA256, AES-256-GCM. Wrapping proves nothing about who did
it: authenticity comes from the signed metadata alone.
"""

import hashlib
import re
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from ondevice.errors import FormatError, TrustError
from ondevice.formats import canonical, limits, sealed
from ondevice.formats.fields import SLUG, Fields

FORMAT = "ondevice-envelope/1"
KEY = 32  # bytes of a catalogue key
_WRAPPED = re.compile(r"[0-9a-f]{160}")  # 32 encapsulated, 32 of key, 16 of tag
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_EPOCH = 1 << 53
_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def key_id(public: X25519PublicKey) -> str:
    """Name a public key: 16 hex digits of the SHA-256 of its 32 bytes (SPEC 9.2)."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def wrap(
    key: bytes, recipients: Mapping[str, X25519PublicKey], *, catalogue: str, epoch: int
) -> bytes:
    """Wrap `key` for each recipient (SPEC 9.1). Each call gives other bytes: HPKE draws afresh.

    Args:
        key: 32 bytes.
        recipients: `key_id` → public key.
        catalogue: id of the catalogue that the key opens.
        epoch: counts the keys of this catalogue, from 0.

    Raises:
        FormatError: a length, a name, or a `key_id` that is not the one of its key.
    """
    if len(key) != KEY:
        raise FormatError(f"a catalogue key has {KEY} bytes, got {len(key)}")
    info = _info(catalogue, epoch)
    wrapped: dict[str, str] = {}
    for name, public in recipients.items():
        if name != key_id(public):
            raise FormatError(f"{name!r} is not the id of its key, {key_id(public)!r}")
        wrapped[name] = _SUITE.encrypt(key, public, info).hex()
    blob = canonical.dump(
        {"format": FORMAT, "catalogue": catalogue, "epoch": epoch, "wrapped": wrapped}
    )
    _parse(blob)
    return blob


def unwrap(
    blob: bytes | bytearray | memoryview, private: X25519PrivateKey, *, catalogue: str
) -> tuple[bytes, int]:
    """Return the key of `catalogue` and its epoch.

    Raises:
        FormatError: malformed, or the part for this key has been damaged.
        TrustError: made for another catalogue, or not for this key.
    """
    named, epoch, wrapped = _parse(blob)
    if named != catalogue:
        raise TrustError(f"the envelope is for the catalogue '{named}', not '{catalogue}'")
    mine = wrapped.get(key_id(private.public_key()))
    if mine is None:
        raise TrustError(
            f"there is no key for this device in the catalogue '{catalogue}'",
            hint="ask its publisher for a new invitation",
        )
    try:
        key = _SUITE.decrypt(bytes.fromhex(mine), private, _info(catalogue, epoch))
    except (InvalidTag, ValueError) as error:
        raise FormatError("the key in the envelope has been damaged") from error
    return key, epoch


def recipients(blob: bytes | bytearray | memoryview) -> frozenset[str]:
    """Return the `key_id` of everybody that an envelope was made for.

    Raises:
        FormatError: malformed.
    """
    return frozenset(_parse(blob)[2])


def _parse(blob: bytes | bytearray | memoryview) -> tuple[str, int, dict[str, str]]:
    what = "the envelope"
    table = canonical.load(blob, what=what, limit=limits.ENVELOPE)
    fields = Fields(table, what=what, required=("format", "catalogue", "epoch", "wrapped"))
    fields.constant("format", FORMAT)
    entries = fields.mapping("wrapped", high=limits.RECIPIENTS)
    wrapped: dict[str, str] = {}
    for name, value in entries.items():
        if not _KEY_ID.fullmatch(name):
            raise FormatError(f"{what}: {name!r} is not the id of a key")
        if not isinstance(value, str) or not _WRAPPED.fullmatch(value):
            raise FormatError(f"{what}: what is wrapped for {name} is not 80 bytes of hex")
        wrapped[name] = value
    return (
        fields.matching("catalogue", SLUG),
        fields.integer("epoch", low=0, high=_EPOCH),
        wrapped,
    )


def _info(catalogue: str, epoch: int) -> bytes:
    """Bind a wrapped key to its purpose (SPEC 9.3)."""
    return sealed.aad(FORMAT, catalogue, str(epoch))
