"""The publisher's secrets, and the first metadata that they sign.

For a repository `DIR`, which is served, the folder `DIR.keys` beside it is not: private keys for
each role of the metadata (`ROLE.key`, or `ROLE-1.key` … where several must sign), the group's key,
and `state.key` with the keys of catalogues and shards. Whoever has the role keys can speak for the
publisher; whoever has the group key can read. Keys of root and targets may be kept elsewhere, and
brought here, or to a copy of what waits for a signature, when they are needed (signing.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from ondevice.errors import ConfigError, FormatError
from ondevice.formats import canonical
from ondevice.formats.fields import HEX_DIGEST, SLUG, Fields
from ondevice.privacy.randomness import Randomness
from server_tools.publish import files

ROLES: Final = ("root", "targets", "snapshot", "timestamp")
SHARED_ROLES: Final = ("root", "targets")  # several keys may have to sign for these
MOST_KEYS = 16  # of one role
LIFETIME: Final[Mapping[str, timedelta]] = {
    "root": timedelta(days=365),
    "targets": timedelta(days=90),
    "snapshot": timedelta(days=90),
    "timestamp": timedelta(days=7),
}
_GROUP = "group.key"
_STATE = "state.key"
_STATE_FORMAT = "ondevice-publisher/1"
_STATE_LIMIT = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """How many of how many keys must sign for root and for targets."""

    needed: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.needed <= self.of <= MOST_KEYS:
            raise ConfigError(
                f"{self.needed} of {self.of} keys cannot be asked for",
                hint=f"write M/N with 1 <= M <= N <= {MOST_KEYS}, as in 2/3",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedShard:
    """Under which key a shard was sealed, and what came out."""

    key: str = field(repr=False)  # content key, hex
    sealed: str  # SHA-256 of the ciphertext, hex


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueKeys:
    """The secrets of one catalogue. A shard that was sealed once is not sealed again."""

    key: bytes = field(repr=False)  # 32 bytes, seals the manifest
    epoch: int = 1
    shards: Mapping[tuple[str, str], SealedShard] = field(default_factory=dict)  # (name, digest)


def folder(repo: Path) -> Path:
    """Return where the keys of the repository `repo` are: beside it, never in it."""
    repo = repo.resolve()
    return repo.with_name(f"{repo.name}.keys")


def init(
    repo: Path,
    *,
    now: datetime,
    randomness: Randomness,
    threshold: Threshold = Threshold(),  # frozen
) -> Path:
    """Make the keys of each role and an empty signed repository; return the folder of keys.

    Args:
        repo: the folder to serve.
        now: from when the metadata is valid.
        randomness: where keys come from.
        threshold: for root and targets; the other roles have one key.

    Raises:
        ConfigError: keys or metadata are there already.
    """
    keys = folder(repo)
    if keys.exists() or (repo / "metadata").exists():
        raise ConfigError(
            f"{keys if keys.exists() else repo / 'metadata'} is there already",
            hint="keys are made once; choose another --repo for another publisher",
        )
    keys.mkdir(parents=True, mode=0o700)
    signers = {
        role: make(keys, role, randomness, count=threshold.of if role in SHARED_ROLES else 1)
        for role in ROLES
    }
    new_group(repo, randomness)
    write_state(repo, {})
    _first_metadata(repo, signers, threshold.needed, now)
    return keys


def make(
    keys: Path, role: str, randomness: Randomness, *, count: int, mark: str = ""
) -> list[CryptoSigner]:
    """Write `count` new keys of `role` into the folder `keys`; `mark` makes new names."""
    made = []
    for number in range(1, count + 1):
        private = Ed25519PrivateKey.from_private_bytes(randomness.bytes(32))
        made.append(CryptoSigner(private))
        name = f"{role}{f'-{number}' if count > 1 else ''}{mark}.key"
        files.put_secret(keys / name, made[-1].private_bytes)
    return made


def held(repo: Path) -> dict[str, CryptoSigner]:
    """Return id → signer of every private key of a role that is here.

    Raises:
        ConfigError: one of them is readable by others, or not a key.
    """
    found = (signer(path) for path in role_files(repo))
    return {one.public_key.keyid: one for one in found}


def role_files(repo: Path) -> list[Path]:
    """Return the files of private keys of roles, whether they still count or not."""
    names = sorted(path for path in folder(repo).glob("*.key"))
    return [path for path in names if path.name not in {_GROUP, _STATE}]


def signer(path: Path) -> CryptoSigner:
    """Return what signs with the private key at `path`.

    Raises:
        ConfigError: the key is missing, readable by others, or not a key.
    """
    blob = files.read_secret(path)
    try:
        private = load_pem_private_key(blob, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is not a private key: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(f"{path} is not an ed25519 key")
    return CryptoSigner(private)


def group(repo: Path) -> X25519PrivateKey:
    """Return the private key that every invited member gets.

    Raises:
        ConfigError: the key is missing, readable by others, or not a key.
    """
    path = folder(repo) / _GROUP
    text = files.read_secret(path).decode("ascii", "replace").strip()
    if not HEX_DIGEST.fullmatch(text):
        raise ConfigError(f"{path} is not a key of 64 hex digits")
    return X25519PrivateKey.from_private_bytes(bytes.fromhex(text))


def new_group(repo: Path, randomness: Randomness) -> None:
    """Replace the group's key: from the next version on, older invitations open nothing."""
    files.put_secret(folder(repo) / _GROUP, randomness.bytes(32).hex().encode())


def read_state(repo: Path) -> dict[str, CatalogueKeys]:
    """Return catalogue id → its secrets.

    Raises:
        ConfigError: missing, or readable by others.
        FormatError: damaged.
    """
    what = str(folder(repo) / _STATE)
    blob = files.read_secret(folder(repo) / _STATE)
    table = canonical.load(blob, what=what, limit=_STATE_LIMIT)
    fields = Fields(table, what=what, required=("format", "catalogues"))
    fields.constant("format", _STATE_FORMAT)
    catalogues = fields.mapping("catalogues", high=1024)
    return {name: _catalogue(name, value, what) for name, value in catalogues.items()}


def write_state(repo: Path, state: Mapping[str, CatalogueKeys]) -> None:
    """Replace what `read_state` returns."""
    catalogues = {
        name: {
            "key": secrets.key.hex(),
            "epoch": secrets.epoch,
            "shards": [
                [shard, digest, done.key, done.sealed]
                for (shard, digest), done in sorted(secrets.shards.items())
            ],
        }
        for name, secrets in state.items()
    }
    blob = canonical.dump({"format": _STATE_FORMAT, "catalogues": catalogues})
    files.put_secret(folder(repo) / _STATE, blob)


def _catalogue(name: str, value: object, what: str) -> CatalogueKeys:
    if not SLUG.fullmatch(name):
        raise FormatError(f"{what}: {name!r} is not the id of a catalogue")
    fields = Fields(value, what=what, required=("key", "epoch", "shards"))
    shards: dict[tuple[str, str], SealedShard] = {}
    for row in fields.array("shards", high=10_000_000):
        match row:
            case [str(shard), str(digest), str(key), str(sealed)]:
                shards[shard, digest] = SealedShard(key=key, sealed=sealed)
            case _:
                raise FormatError(f"{what}: a shard of '{name}' is malformed")
    return CatalogueKeys(
        key=bytes.fromhex(fields.matching("key", HEX_DIGEST)),
        epoch=fields.integer("epoch", low=1, high=1 << 53),
        shards=shards,
    )


def _first_metadata(
    repo: Path, signers: Mapping[str, list[CryptoSigner]], threshold: int, now: datetime
) -> None:
    root = Root(expires=now + LIFETIME["root"], consistent_snapshot=True)
    for role in ROLES:
        for one in signers[role]:
            root.add_key(one.public_key, role)
    for role in SHARED_ROLES:
        root.roles[role].threshold = threshold
    targets = Metadata(Targets(expires=now + LIFETIME["targets"]))
    targets_blob = sign(targets, signers["targets"])
    snapshot = Metadata(
        Snapshot(
            expires=now + LIFETIME["snapshot"],
            meta={"targets.json": MetaFile.from_data(1, targets_blob, ["sha256"])},
        )
    )
    snapshot_blob = sign(snapshot, signers["snapshot"])
    timestamp = Metadata(
        Timestamp(
            expires=now + LIFETIME["timestamp"],
            snapshot_meta=MetaFile.from_data(1, snapshot_blob, ["sha256"]),
        )
    )
    metadata = repo / "metadata"
    metadata.mkdir(parents=True)
    files.put(metadata / "1.root.json", sign(Metadata(root), signers["root"]))
    files.put(metadata / "1.targets.json", targets_blob)
    files.put(metadata / "1.snapshot.json", snapshot_blob)
    files.put(metadata / "timestamp.json", sign(timestamp, signers["timestamp"]))


def sign(metadata: Metadata[Any], with_keys: Iterable[CryptoSigner]) -> bytes:
    """Return `metadata` signed by exactly these keys, as bytes."""
    metadata.signatures.clear()
    for one in with_keys:
        metadata.sign(one, append=True)
    return metadata.to_bytes()
