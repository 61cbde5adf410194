"""Publish a build into a signed repository of static files, which any web server can hand out.

    DIR/metadata/N.root.json, N.targets.json, N.snapshot.json, timestamp.json
    DIR/targets/ID/<SHA-256>.<name>    name: manifest, envelope, or a shard's

Files that clients reach last are written first: shards, envelope and manifest, then root, targets,
snapshot, and the timestamp at the end, each atomically. Who is stopped in between has published
nothing, and files of older versions stay for clients that are still fetching them.

A shard that has not changed is never sealed again, so its file, and with it what devices have,
stays the same. A changed one gets a new content key. What is published is read from the
repository itself (its sealed manifest), so it cannot disagree with any notes kept elsewhere.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from ondevice.errors import ConfigError, FormatError, IntegrityError
from ondevice.formats import envelope, manifest, sealed
from ondevice.formats.manifest import Manifest, ShardEntry
from ondevice.privacy.randomness import Randomness
from server_tools.embed import local
from server_tools.publish import files, keys
from server_tools.publish.keys import CatalogueKeys, SealedShard

MANIFEST, ENVELOPE = "manifest", "envelope"  # targets of each catalogue, beside its shards
ROOT_RENEWAL = timedelta(days=60)  # a root that expires sooner is signed again
DUE = timedelta(days=30)  # the same for a snapshot, when only the timestamp is asked for
_T = TypeVar("_T", Root, Snapshot, Targets, Timestamp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What publishing did, or would do."""

    catalogue: str
    version: int  # of the catalogue, after it
    changed: bool
    sealed: tuple[str, ...] = ()  # shards sealed now
    kept: tuple[str, ...] = ()  # shards that devices have already
    size: int = 0  # bytes of new shards, which every device fetches


@dataclass(slots=True, kw_only=True)
class _Metadata:
    """The current metadata of a repository, being changed."""

    root: Metadata[Root]
    targets: Metadata[Targets]
    snapshot: Metadata[Snapshot]
    timestamp: Metadata[Timestamp]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    report: Report
    secrets: CatalogueKeys
    kept: Mapping[str, SealedShard] = field(default_factory=dict)
    fresh: tuple[ShardEntry, ...] = ()


def publish(
    build: Path, repo: Path, *, now: datetime, randomness: Randomness, dry_run: bool = False
) -> Report:
    """Make `build` the newest version of its catalogue in `repo`.

    Raises:
        ConfigError: no build, no repository, or its keys are not here.
        FormatError: the build or the repository has been damaged.
    """
    built, shards = local.read(build)
    with files.locked(_existing(repo)):
        metadata = _read(repo)
        state = keys.read_state(repo)
        plan = _plan(built, repo, metadata, state.get(built.catalogue), randomness)
        if dry_run or not plan.report.changed:
            return plan.report
        signers = {role: keys.signer(repo, role) for role in keys.ROLES}
        group = keys.group(repo)
        entries, blobs, secrets = _seal(built, shards, plan, randomness)
        keys.write_state(repo, {**state, built.catalogue: secrets})
        offered = _offer(repo, built, blobs)
        offered |= {entry.name: _kept_file(repo, built.catalogue, entry) for entry in entries}
        published = replace(
            built,
            version=plan.report.version,
            created=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            shards=tuple(entries),
        )
        wrapped = _envelope(repo, metadata, built.catalogue, secrets, group)
        head = sealed.seal(
            secrets.key,
            manifest.encode(published),
            sealed.manifest_aad(built.catalogue),
            salt=randomness.bytes(sealed.SALT),
            prefix=randomness.bytes(sealed.PREFIX),
        )
        offered |= _offer(repo, built, {ENVELOPE: wrapped, MANIFEST: head})
        _renew_root(repo, metadata, signers["root"], now)
        _announce(repo, metadata, signers, {built.catalogue: offered}, now)
    return plan.report


def refresh(repo: Path, *, now: datetime) -> tuple[str, ...]:
    """Sign the timestamp again, and the snapshot when it is due; return which were signed.

    Needs only the keys of these two roles, so it can run unattended.

    Raises:
        ConfigError: no repository, or its keys are not here.
    """
    with files.locked(_existing(repo)):
        metadata = _read(repo)
        due = metadata.snapshot.signed.expires - now < DUE
        roles = ("snapshot", "timestamp") if due else ("timestamp",)
        signers = {role: keys.signer(repo, role) for role in roles}
        if due:
            _snapshot(repo, metadata, signers["snapshot"], now)
        _timestamp(repo, metadata, signers["timestamp"], now)
    return roles


def newest_root(repo: Path) -> bytes:
    """Return the newest root.json of `repo`.

    Raises:
        ConfigError: there is no repository.
    """
    return _root_files(repo)[-1].read_bytes()


def catalogues(repo: Path) -> tuple[str, ...]:
    """Return the ids of what `repo` offers, in order."""
    paths = _read(repo).targets.signed.targets
    return tuple(sorted(path.partition("/")[0] for path in paths if path.endswith(f"/{MANIFEST}")))


def target_file(repo: Path, catalogue: str, name: str, digest: str) -> Path:
    """Return where the repository has the target `catalogue/name` with this SHA-256."""
    return repo / "targets" / catalogue / f"{digest}.{name}"


def _plan(
    built: Manifest,
    repo: Path,
    metadata: _Metadata,
    secrets: CatalogueKeys | None,
    randomness: Randomness,
) -> _Plan:
    secrets = secrets or CatalogueKeys(key=randomness.bytes(32))
    published = _published(repo, metadata, built.catalogue, secrets)
    version = published.version if published else 0
    if published is not None and _bare(published) == built:
        return _Plan(
            report=Report(catalogue=built.catalogue, version=version, changed=False),
            secrets=secrets,
        )
    kept: dict[str, SealedShard] = {}
    fresh: list[ShardEntry] = []
    for entry in built.shards:
        done = secrets.shards.get((entry.name, entry.digest))
        if done is not None and _is_whole(repo, built.catalogue, entry, done):
            kept[entry.name] = done
        else:
            fresh.append(entry)
    report = Report(
        catalogue=built.catalogue,
        version=version + 1,
        changed=True,
        sealed=tuple(entry.name for entry in fresh),
        kept=tuple(kept),
        size=sum(sealed_size(entry.size) for entry in fresh),
    )
    return _Plan(report=report, secrets=secrets, kept=kept, fresh=tuple(fresh))


def sealed_size(size: int) -> int:
    """Return how long `size` bytes are once sealed."""
    room = sealed.SEGMENT - sealed.TAG
    segments = max(1, -(-(size + sealed.HEADER) // room))
    return sealed.HEADER + size + segments * sealed.TAG


def _seal(
    built: Manifest, shards: Mapping[str, bytes], plan: _Plan, randomness: Randomness
) -> tuple[list[ShardEntry], dict[str, bytes], CatalogueKeys]:
    """Seal what is fresh, each shard under a key of its own."""
    done = dict(plan.secrets.shards)
    blobs: dict[str, bytes] = {}
    for entry in plan.fresh:
        key = randomness.bytes(sealed.KEY)
        blobs[entry.name] = sealed.seal(
            key,
            shards[entry.name],
            sealed.shard_aad(built.catalogue, entry.name),
            salt=randomness.bytes(sealed.SALT),
            prefix=randomness.bytes(sealed.PREFIX),
        )
        digest = hashlib.sha256(blobs[entry.name]).hexdigest()
        done[entry.name, entry.digest] = SealedShard(key=key.hex(), sealed=digest)
    entries = []
    for entry in built.shards:
        shard = done[entry.name, entry.digest]
        entries.append(replace(entry, key=shard.key, sealed=shard.sealed))
    return entries, blobs, replace(plan.secrets, shards=done)


def _bare(published: Manifest) -> Manifest:
    """Return the build that `published` was made from."""
    entries = tuple(replace(entry, key="", sealed="") for entry in published.shards)
    return replace(published, version=0, created=local.CREATED, shards=entries)


def _published(
    repo: Path, metadata: _Metadata, catalogue: str, secrets: CatalogueKeys
) -> Manifest | None:
    target = metadata.targets.signed.targets.get(f"{catalogue}/{MANIFEST}")
    if target is None:
        return None
    path = target_file(repo, catalogue, MANIFEST, target.hashes["sha256"])
    try:
        aad = sealed.manifest_aad(catalogue)
        return manifest.decode(sealed.open_sealed(secrets.key, path.read_bytes(), aad))
    except (OSError, IntegrityError) as error:
        raise FormatError(
            f"cannot open the published manifest {path}: {error}",
            hint="the repository and its keys do not belong together: restore both from one backup",
        ) from error


def _is_whole(repo: Path, catalogue: str, entry: ShardEntry, done: SealedShard) -> bool:
    path = target_file(repo, catalogue, entry.name, done.sealed)
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == done.sealed


def _kept_file(repo: Path, catalogue: str, entry: ShardEntry) -> TargetFile:
    return TargetFile(
        length=target_file(repo, catalogue, entry.name, entry.sealed).stat().st_size,
        hashes={"sha256": entry.sealed},
        path=f"{catalogue}/{entry.name}",
    )


def _envelope(
    repo: Path, metadata: _Metadata, catalogue: str, secrets: CatalogueKeys, group: X25519PrivateKey
) -> bytes:
    """Return the envelope that is out, if it serves: wrapping again would give other bytes."""
    target = metadata.targets.signed.targets.get(f"{catalogue}/{ENVELOPE}")
    if target is not None:
        path = target_file(repo, catalogue, ENVELOPE, target.hashes["sha256"])
        with suppress(OSError, IntegrityError):
            blob = path.read_bytes()
            held = envelope.unwrap(blob, group, catalogue=catalogue)
            if held == (secrets.key, secrets.epoch):
                return blob
    public = group.public_key()
    return envelope.wrap(
        secrets.key,
        {envelope.key_id(public): public},
        catalogue=catalogue,
        epoch=secrets.epoch,
    )


def _offer(repo: Path, built: Manifest, blobs: Mapping[str, bytes]) -> dict[str, TargetFile]:
    """Write target files; return name → how metadata describes them."""
    offered = {}
    for name, blob in blobs.items():
        digest = hashlib.sha256(blob).hexdigest()
        path = target_file(repo, built.catalogue, name, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.put(path, blob)
        offered[name] = TargetFile(
            length=len(blob), hashes={"sha256": digest}, path=f"{built.catalogue}/{name}"
        )
    return offered


def _renew_root(repo: Path, metadata: _Metadata, signer: Any, now: datetime) -> None:
    if metadata.root.signed.expires - now >= ROOT_RENEWAL:
        return
    root = metadata.root.signed
    root.version += 1
    root.expires = now + keys.LIFETIME["root"]
    files.put(repo / "metadata" / f"{root.version}.root.json", keys.sign(metadata.root, signer))


def _announce(
    repo: Path,
    metadata: _Metadata,
    signers: Mapping[str, Any],
    offers: Mapping[str, Mapping[str, TargetFile]],
    now: datetime,
) -> None:
    """Sign targets, snapshot and timestamp with the new `offers`, catalogue → name → file."""
    targets = metadata.targets.signed
    for catalogue, offered in offers.items():
        for path in [path for path in targets.targets if path.startswith(f"{catalogue}/")]:
            del targets.targets[path]
        targets.targets |= {file.path: file for file in offered.values()}
    targets.version += 1
    targets.expires = now + keys.LIFETIME["targets"]
    blob = keys.sign(metadata.targets, signers["targets"])
    files.put(repo / "metadata" / f"{targets.version}.targets.json", blob)
    meta = MetaFile.from_data(targets.version, blob, ["sha256"])
    metadata.snapshot.signed.meta["targets.json"] = meta
    _snapshot(repo, metadata, signers["snapshot"], now)
    _timestamp(repo, metadata, signers["timestamp"], now)


def _snapshot(repo: Path, metadata: _Metadata, signer: Any, now: datetime) -> None:
    snapshot = metadata.snapshot.signed
    snapshot.version += 1
    snapshot.expires = now + keys.LIFETIME["snapshot"]
    blob = keys.sign(metadata.snapshot, signer)
    files.put(repo / "metadata" / f"{snapshot.version}.snapshot.json", blob)
    metadata.timestamp.signed.snapshot_meta = MetaFile.from_data(snapshot.version, blob, ["sha256"])


def _timestamp(repo: Path, metadata: _Metadata, signer: Any, now: datetime) -> None:
    metadata.timestamp.signed.version += 1
    metadata.timestamp.signed.expires = now + keys.LIFETIME["timestamp"]
    files.put(repo / "metadata" / "timestamp.json", keys.sign(metadata.timestamp, signer))


def _existing(repo: Path) -> Path:
    """Return the folder of keys of a repository that exists."""
    _root_files(repo)
    if not keys.folder(repo).is_dir():
        raise ConfigError(
            f"the keys of {repo} are not here: {keys.folder(repo)} is missing",
            hint="put them back, or make a new repository: ondevice-server keys init --repo DIR",
        )
    return keys.folder(repo)


def _root_files(repo: Path) -> list[Path]:
    found = list((repo / "metadata").glob("*.root.json"))
    if not found:
        raise ConfigError(
            f"{repo} is not a repository",
            hint="make one: ondevice-server keys init --repo DIR",
        )
    return sorted(found, key=lambda path: int(path.name.partition(".")[0]))


def _read(repo: Path) -> _Metadata:
    """Read what the timestamp names; files that an interrupted run left are passed over."""
    folder = repo / "metadata"
    timestamp = _load(folder / "timestamp.json", Timestamp)
    snapshot_version = timestamp.signed.snapshot_meta.version
    snapshot = _load(folder / f"{snapshot_version}.snapshot.json", Snapshot)
    targets_version = snapshot.signed.meta["targets.json"].version
    return _Metadata(
        root=_load(_root_files(repo)[-1], Root),
        targets=_load(folder / f"{targets_version}.targets.json", Targets),
        snapshot=snapshot,
        timestamp=timestamp,
    )


def _load(path: Path, kind: type[_T]) -> Metadata[_T]:
    try:
        found: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
    except (OSError, DeserializationError) as error:
        raise FormatError(
            f"cannot read {path}: {error}", hint="restore the repository from a backup"
        ) from error
    if not isinstance(found.signed, kind):
        raise FormatError(f"{path} is not {kind.type} metadata")
    return found
