"""The keybox: every secret of a home in one small sealed file (SECURITY 3).

    file = header (seal.py) | nonce [12] | AES-256-GCM(KEK, nonce, canonical JSON, AAD = header)

Salt and nonce are fresh in every file written, so no pair of key and nonce comes twice. The header
names the parts of the KEK, and every keybox is written under the same parts as the one before;
`reseal` alone changes them. It does so with a new pepper: the new one is put beside the old, the
keybox is replaced, and the old one is overwritten. Killed anywhere in between, one of the two
peppers opens the keybox, and `settle` puts the right one in its place.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import durable
from ondevice.errors import ConfigError, FormatError, IntegrityError, NotReadyError
from ondevice.formats import canonical
from ondevice.paths import Home
from ondevice.store import files, seal, unlock
from ondevice.store.seal import BOTH as _BOTH
from ondevice.store.seal import HEAD as _HEAD
from ondevice.store.seal import KEY, Header, Seal

if TYPE_CHECKING:
    from ondevice.privacy.randomness import Randomness

NO_HEAD = bytes(KEY)  # the head of a ledger without entries
MAX_SIZE = 1 << 20
MAX_SECRETS = 4096
_NONCE = 12
_TAG = 16
_NAMES = ("counter", "device", "head", "ledger", "newest", "pending", "rows", "secrets", "store")
_LATER = ("erased", "erasing", "generation", "next")  # since version 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Keybox:
    """What the keybox holds. Values only: writing one back is `write` or `update`.

    `head` is the digest of the newest ledger entry that is known to be in the store; `pending`
    the digest of one that is being written (see ledger.py for what that protects). `generation`
    counts the changes of the store key, and while one is going on, `next` is the key to come (see
    generation.py). `erased` is what was released before the last erase.
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
    generation: int = 0
    next: bytes | None = field(default=None, repr=False)
    erased: float = 0.0  # rho
    erasing: float | None = None  # what `erased` will be, while an erase is going on


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
    anchor = unlock.anchor_for_new_home(randomness)
    under = Seal(pepper=_pepper(home.pepper), anchor=anchor)
    files.replace(home.keybox, encode(keybox, under=under, randomness=randomness))
    return keybox


def read(home: Home) -> Keybox:
    """Open the keybox of `home`.

    Raises:
        NotReadyError: there is none.
        IntegrityError: it is damaged, or `device.key` is missing or not the right one.
        ConfigError: it needs a passphrase, and nobody gives one.
    """
    return _opened(home)[0]


def header(home: Home) -> Header:
    """Read what the keybox says of itself: no key is needed.

    Raises:
        NotReadyError: there is none.
        FormatError: it is not a keybox.
    """
    return seal.parse(_blob(home))


def signature(home: Home) -> bytes:
    """Return bytes that are others after every change of the keybox: its header, with its salt.

    Raises:
        IntegrityError: it can't be read.
    """
    try:
        handle = os.open(home.keybox, os.O_RDONLY)
        try:
            return os.read(handle, _HEAD.size)
        finally:
            os.close(handle)
    except OSError as error:
        raise IntegrityError(f"cannot read {home.keybox}: {error.strerror}", hint=_BOTH) from error


def write(home: Home, keybox: Keybox, randomness: "Randomness") -> None:
    """Replace the keybox at a stroke; the caller holds `files.locked`."""
    settle(home)
    under = _opened(home)[1]
    files.replace(home.keybox, encode(keybox, under=under, randomness=randomness))


def reseal(
    home: Home,
    keybox: Keybox,
    randomness: "Randomness",
    change: Callable[[Seal], Seal] = lambda under: under,
) -> None:
    """Replace the keybox by one under a new pepper; the old pepper is gone when this returns.

    Args:
        home: where; the caller holds `files.locked`.
        keybox: what to keep.
        randomness: for the pepper.
        change: what else to seal it under.
    """
    settle(home)
    under = change(replace(_opened(home)[1], pepper=randomness.bytes(KEY)))
    waiting = files.next_pepper(home)
    files.replace(waiting, under.pepper)
    files.replace(home.keybox, encode(keybox, under=under, randomness=randomness))
    settle(home)


def settle(home: Home) -> None:
    """Finish or undo a change of the pepper that was interrupted; the caller holds the lock."""
    waiting = files.next_pepper(home)
    if not waiting.exists():
        return
    if _opened(home)[1].pepper == _pepper(waiting):
        files.shred(home.pepper, waiting.read_bytes())
        waiting.replace(home.pepper)
    else:
        files.shred(waiting, bytes(KEY))
        waiting.unlink()
    durable.sync(home.root)


def update(home: Home, randomness: "Randomness", change: Callable[[Keybox], Keybox]) -> Keybox:
    """Read, `change` and write under the lock of the home; not inside a transaction."""
    with files.locked(home):
        before = read(home)
        after = change(before)
        if after != before:
            write(home, after, randomness)
    return after


def encode(keybox: Keybox, *, under: Seal, randomness: "Randomness") -> bytes:
    """Seal `keybox`."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    header = under.header(randomness.bytes(KEY))
    nonce = randomness.bytes(_NONCE)
    plain = canonical.dump(
        {
            "counter": keybox.counter,
            "device": keybox.device_private.hex(),
            "erased": keybox.erased.hex(),
            "erasing": "" if keybox.erasing is None else keybox.erasing.hex(),
            "generation": keybox.generation,
            "head": keybox.head.hex(),
            "ledger": keybox.ledger_key.hex(),
            "newest": keybox.newest,
            "next": keybox.next.hex() if keybox.next else "",
            "pending": keybox.pending.hex() if keybox.pending else "",
            "rows": {str(stream): count for stream, count in keybox.rows.items()},
            "secrets": {name: secret.hex() for name, secret in keybox.secrets.items()},
            "store": keybox.store_key.hex(),
        }
    )
    blob = header + nonce + AESGCM(under.key(header)).encrypt(nonce, plain, header)
    if len(blob) > MAX_SIZE:
        raise ConfigError("the keybox is full", hint="remove catalogues that you don't use")
    return blob


def decode(blob: bytes, *, under: Seal) -> Keybox:
    """Open what `encode` wrote.

    Raises:
        FormatError: for every malformed or altered input, or another seal.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not _HEAD.size + _NONCE + _TAG <= len(blob) <= MAX_SIZE:
        raise FormatError(f"a keybox cannot have {len(blob)} bytes", hint=_BOTH)
    header = seal.parse(blob).raw
    nonce = blob[_HEAD.size : _HEAD.size + _NONCE]
    try:
        plain = AESGCM(under.key(header)).decrypt(nonce, blob[_HEAD.size + _NONCE :], header)
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


def _blob(home: Home) -> bytes:
    try:
        with home.keybox.open("rb") as file:
            return file.read(MAX_SIZE + 1)
    except FileNotFoundError:
        raise NotReadyError(
            f"nothing has been recorded in {home.root} yet",
            hint='record something first: ondevice-rec log "what you did"',
        ) from None
    except OSError as error:
        raise IntegrityError(f"cannot read {home.keybox}: {error.strerror}", hint=_BOTH) from error


def _opened(home: Home) -> tuple[Keybox, Seal]:
    """Open the keybox; look again, alone, where another process was just replacing its files."""
    try:
        return _try(home)
    except IntegrityError:
        with files.locked(home):
            return _try(home)


def _try(home: Home) -> tuple[Keybox, Seal]:
    blob = _blob(home)
    header = seal.parse(blob)
    peppers = [_pepper(home.pepper)]
    if files.next_pepper(home).exists():
        peppers.append(_pepper(files.next_pepper(home)))
    anchors = [found for _, found in unlock.anchors()] if header.anchor else [None]
    if not anchors:
        raise ConfigError(
            "this home is bound to a key of this machine's keyring or service manager, "
            "which does not give it",
            hint="unlock the keyring and install the package keyring, or start the service by "
            "systemd with its credential",
        )
    failure: FormatError | None = None
    for stretched in unlock.stretched(home, header.kdf) if header.kdf else [None]:
        for pepper in peppers:
            for anchor in anchors:
                under = Seal(pepper=pepper, anchor=anchor, kdf=header.kdf, stretched=stretched)
                try:
                    return decode(blob, under=under), under
                except FormatError as error:
                    failure = error
    if header.kdf:
        unlock.forget(header.kdf)
        raise FormatError(
            "the passphrase is wrong, or the keybox is damaged, or device.key belongs to another",
            hint=f"try the passphrase again; else {_BOTH}",
        )
    raise failure or FormatError("the keybox cannot be opened", hint=_BOTH)


def _pepper(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            pepper = file.read(KEY + 1)
    except OSError as error:
        raise IntegrityError(
            f"cannot read {path}: {error.strerror}; the keybox cannot be opened without it",
            hint=_BOTH,
        ) from error
    if len(pepper) != KEY:
        raise IntegrityError(f"{path} is damaged: it must have {KEY} bytes", hint=_BOTH)
    return pepper


def _parse(plain: bytes) -> Keybox:
    """Sealed by ourselves, and still read as strictly as anything else."""
    from ondevice.formats.fields import HEX_DIGEST, Fields

    table = canonical.load(plain, what="keybox", limit=MAX_SIZE)
    fields = Fields(table, what="keybox", required=_NAMES, optional=_LATER)
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
    following = fields.raw("next") if "next" in fields else ""
    erasing = fields.text("erasing", low=0, high=32) if "erasing" in fields else ""
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
        generation=fields.integer("generation", low=0, high=1 << 62)
        if "generation" in fields
        else 0,
        next=bytes.fromhex(fields.matching("next", HEX_DIGEST)) if following != "" else None,
        erased=_rho(fields.text("erased", high=32)) if "erased" in fields else 0.0,
        erasing=_rho(erasing) if erasing else None,
    )


def _rho(text: str) -> float:
    try:
        value = float.fromhex(text)
    except (ValueError, OverflowError):
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise FormatError("keybox: what was erased is not a number")
    return value
