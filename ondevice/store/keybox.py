"""The keybox: every secret of a home in one small sealed file (SECURITY 3).

    header = "ODKB" | version u8 | parts u8 | kdf u8 | 0 u8 | kdf parameters [28] | salt [32]
    file   = header | nonce [12] | AES-256-GCM(KEK, nonce, canonical JSON, AAD = header)
    KEK    = HKDF-SHA256(anchor | pepper | Argon2id(passphrase), salt, info "ondevice keybox 1")

Each part of the key material is 32 bytes, and `parts` in the authenticated header says which are
there, so no two combinations can be confused. The pepper (`device.key`) always is. `kdf` 0 means
no passphrase; its 28 bytes (salt 16, memory, passes, lanes) are kept for one. Salt and nonce are
fresh in every file written, so no pair of key and nonce comes twice.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ondevice.errors import ConfigError, FormatError, IntegrityError, NotReadyError
from ondevice.formats import canonical
from ondevice.paths import Home
from ondevice.store import files

if TYPE_CHECKING:
    from ondevice.privacy.randomness import Randomness

MAGIC = b"ODKB"
VERSION = 1
KEY = 32  # bytes of every key, digest and salt here
NO_HEAD = bytes(KEY)  # the head of a ledger without entries
MAX_SIZE = 1 << 20
MAX_SECRETS = 4096
_INFO = b"ondevice keybox 1"
_NONCE = 12
_TAG = 16
_HEAD = struct.Struct(">4sBBBB28s32s")
_PEPPER = 2  # bits of `parts`: 1 anchor, 2 pepper, 4 passphrase
_NAMES = ("counter", "device", "head", "ledger", "newest", "pending", "rows", "secrets", "store")
_BOTH = "put keybox and device.key back from one backup; without them nobody can open the store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keybox:
    """What the keybox holds. Values only: writing one back is `write` or `update`.

    `head` is the digest of the newest ledger entry that is known to be in the store; `pending`
    the digest of one that is being written (see ledger.py for what that protects).
    """

    store_key: bytes = field(repr=False)
    ledger_key: bytes = field(repr=False)
    device_private: bytes = field(repr=False)  # X25519, raw
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    counter: int = 0  # bumped before every ledger write; 0 until there is a store
    head: bytes = NO_HEAD
    pending: bytes | None = None
    newest: int = 0  # newest time seen, seconds since 1970
    rows: Mapping[int, int] = field(default_factory=dict)  # stream → rows it has at least


def create(home: Home, randomness: "Randomness") -> Keybox:
    """Write a new `device.key` and keybox; the caller holds `files.locked`.

    Raises:
        IntegrityError: there is a store already, which only its own keybox can open.
    """
    if home.store.exists() and home.store.stat().st_size:
        raise IntegrityError(f"{home.keybox} is missing, so the store cannot be opened", hint=_BOTH)
    if not home.pepper.exists():  # else: one whose keybox was never written
        files.replace(home.pepper, randomness.bytes(KEY))
    keybox = Keybox(
        store_key=randomness.bytes(KEY),
        ledger_key=randomness.bytes(KEY),
        device_private=randomness.bytes(KEY),
    )
    write(home, keybox, randomness)
    return keybox


def read(home: Home) -> Keybox:
    """Open the keybox of `home`.

    Raises:
        NotReadyError: there is none.
        IntegrityError: it is damaged, or `device.key` is missing or not the right one.
        ConfigError: it needs a passphrase.
    """
    try:
        with home.keybox.open("rb") as file:
            blob = file.read(MAX_SIZE + 1)
    except FileNotFoundError:
        raise NotReadyError(
            f"nothing has been recorded in {home.root} yet",
            hint='record something first: ondevice-rec log "what you did"',
        ) from None
    except OSError as error:
        raise IntegrityError(f"cannot read {home.keybox}: {error.strerror}", hint=_BOTH) from error
    return decode(blob, pepper=_pepper(home))


def write(home: Home, keybox: Keybox, randomness: "Randomness") -> None:
    """Replace the keybox at a stroke; the caller holds `files.locked`."""
    files.replace(home.keybox, encode(keybox, pepper=_pepper(home), randomness=randomness))


def update(home: Home, randomness: "Randomness", change: Callable[[Keybox], Keybox]) -> Keybox:
    """Read, `change` and write under the lock of the home; not inside a transaction."""
    with files.locked(home):
        before = read(home)
        after = change(before)
        if after != before:
            write(home, after, randomness)
    return after


def encode(keybox: Keybox, *, pepper: bytes, randomness: "Randomness") -> bytes:
    """Seal `keybox`."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    header = _HEAD.pack(MAGIC, VERSION, _PEPPER, 0, 0, bytes(28), randomness.bytes(KEY))
    nonce = randomness.bytes(_NONCE)
    plain = canonical.dump(
        {
            "counter": keybox.counter,
            "device": keybox.device_private.hex(),
            "head": keybox.head.hex(),
            "ledger": keybox.ledger_key.hex(),
            "newest": keybox.newest,
            "pending": keybox.pending.hex() if keybox.pending else "",
            "rows": {str(stream): count for stream, count in keybox.rows.items()},
            "secrets": {name: secret.hex() for name, secret in keybox.secrets.items()},
            "store": keybox.store_key.hex(),
        }
    )
    blob = header + nonce + AESGCM(_kek(header, pepper)).encrypt(nonce, plain, header)
    if len(blob) > MAX_SIZE:
        raise ConfigError("the keybox is full", hint="remove catalogues that you don't use")
    return blob


def decode(blob: bytes, *, pepper: bytes) -> Keybox:
    """Open what `encode` wrote.

    Raises:
        FormatError: for every malformed or altered input, or another pepper.
        ConfigError: it needs a passphrase.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not _HEAD.size + _NONCE + _TAG <= len(blob) <= MAX_SIZE:
        raise FormatError(f"a keybox cannot have {len(blob)} bytes", hint=_BOTH)
    magic, version, parts, kdf, zero, _, _ = _HEAD.unpack_from(blob)
    if magic != MAGIC or zero:
        raise FormatError("this file is not a keybox", hint=_BOTH)
    if version != VERSION:
        raise FormatError(
            f"the keybox has version {version}, this program knows {VERSION}",
            hint="upgrade ondevice-rec",
        )
    if kdf or parts != _PEPPER:
        raise ConfigError(
            "the keybox asks for a passphrase or a key outside this folder",
            hint="this version can't ask for one: use the version that set it",
        )
    header, nonce = blob[: _HEAD.size], blob[_HEAD.size : _HEAD.size + _NONCE]
    try:
        plain = AESGCM(_kek(header, pepper)).decrypt(nonce, blob[_HEAD.size + _NONCE :], header)
    except InvalidTag:
        raise FormatError(
            "the keybox is damaged, or device.key belongs to another one", hint=_BOTH
        ) from None
    return _parse(plain)


def with_secret(keybox: Keybox, name: str, secret: bytes | None) -> Keybox:
    """Return `keybox` with `name` set, or removed for None.

    Raises:
        ConfigError: no room for another one.
    """
    secrets = {key: value for key, value in keybox.secrets.items() if key != name}
    if secret is not None:
        secrets[name] = secret
    if len(secrets) > MAX_SECRETS:
        raise ConfigError("the keybox is full", hint="remove catalogues that you don't use")
    return replace(keybox, secrets=secrets)


def _kek(header: bytes, pepper: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=KEY, salt=header[-KEY:], info=_INFO).derive(pepper)


def _pepper(home: Home) -> bytes:
    try:
        with home.pepper.open("rb") as file:
            pepper = file.read(KEY + 1)
    except OSError as error:
        raise IntegrityError(
            f"cannot read {home.pepper}: {error.strerror}; the keybox cannot be opened without it",
            hint=_BOTH,
        ) from error
    if len(pepper) != KEY:
        raise IntegrityError(f"{home.pepper} is damaged: it must have {KEY} bytes", hint=_BOTH)
    return pepper


def _parse(plain: bytes) -> Keybox:
    """Sealed by ourselves, and still read as strictly as anything else."""
    from ondevice.formats.fields import HEX_DIGEST, Fields

    table = canonical.load(plain, what="keybox", limit=MAX_SIZE)
    fields = Fields(table, what="keybox", required=_NAMES)
    secrets: dict[str, bytes] = {}
    for name, value in fields.mapping("secrets", high=MAX_SECRETS).items():
        try:
            secrets[name] = bytes.fromhex(value)  # type: ignore[arg-type]  # TypeError is caught
        except (TypeError, ValueError):
            raise FormatError(f"keybox: the secret {name!r} is not hexadecimal") from None
    counts = fields.mapping("rows", high=1 << 16)
    rows = Fields(counts, what="keybox: rows", required=tuple(counts))
    if not all(name.isdecimal() for name in counts):
        raise FormatError("keybox: rows are not counted by stream")
    pending = fields.raw("pending")
    return Keybox(
        store_key=bytes.fromhex(fields.matching("store", HEX_DIGEST)),
        ledger_key=bytes.fromhex(fields.matching("ledger", HEX_DIGEST)),
        device_private=bytes.fromhex(fields.matching("device", HEX_DIGEST)),
        secrets=secrets,
        counter=fields.integer("counter", low=0, high=1 << 62),
        head=bytes.fromhex(fields.matching("head", HEX_DIGEST)),
        pending=bytes.fromhex(fields.matching("pending", HEX_DIGEST)) if pending != "" else None,
        newest=fields.integer("newest", low=0, high=1 << 40),
        rows={int(name): rows.integer(name, low=1, high=1 << 62) for name in counts},
    )
