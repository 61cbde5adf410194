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
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from tuf.api.metadata import TargetFile

from ondevice.errors import FormatError, IntegrityError
from ondevice.formats import envelope, manifest, sealed
from ondevice.formats.manifest import Manifest, ShardEntry
from ondevice.privacy.randomness import Randomness
from server_tools.embed import local
from server_tools.publish import devices, files, keys, signing
from server_tools.publish.keys import CatalogueKeys, SealedShard
from server_tools.publish.signing import Roles

Progress = Callable[[int, int], None]  # shards sealed, shards to seal
MANIFEST, ENVELOPE = "manifest", "envelope"  # targets of each catalogue, beside its shards


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What publishing did, or would do."""

    catalogue: str
    version: int  # of the catalogue, after it
    changed: bool
    sealed: tuple[str, ...] = ()  # shards sealed now
    kept: tuple[str, ...] = ()  # shards that devices have already
    size: int = 0  # bytes of new shards, which every device fetches
    note: str = ""  # what the publisher should do soon


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    report: Report
    secrets: CatalogueKeys
    kept: Mapping[str, SealedShard] = field(default_factory=dict)
    fresh: tuple[ShardEntry, ...] = ()


def publish(
    build: Path,
    repo: Path,
    *,
    now: datetime,
    randomness: Randomness,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Make `build` the newest version of its catalogue in `repo`.

    Raises:
        ConfigError: no build, no repository, or its keys are not here.
        FormatError: the build or the repository has been damaged.
    """
    built = local.read_manifest(build)
    with files.locked(signing.existing(repo)):
        roles = Roles.read(repo)
        state = keys.read_state(repo)
        plan = _plan(built, repo, roles, state.get(built.catalogue), randomness)
        if dry_run or not plan.report.changed:
            return plan.report
        signing.refuse_pending(repo)
        entries, secrets = _seal(build, repo, built, plan, randomness, progress)
        keys.write_state(repo, {**state, built.catalogue: secrets})
        offered = {entry.name: _kept_file(repo, built.catalogue, entry) for entry in entries}
        published = replace(
            built,
            version=plan.report.version,
            created=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            shards=tuple(entries),
        )
        offered |= _heads(repo, roles, published, secrets, randomness)
        note = roles.renew_root(now)
        roles.offer({built.catalogue: offered}, now)
    return replace(plan.report, note=note)


def reissue(repo: Path, *, now: datetime, randomness: Randomness, new_keys: bool) -> dict[str, int]:
    """Wrap the key of every published catalogue for the present members; return id → version.

    With `new_keys` each catalogue gets another key, the next epoch and the next version, so that
    who is no member any more can't read it. Shards stay as they are: what a former member had, it
    keeps. The caller holds the lock.

    Raises:
        WaitingError: keys that are not here must sign first.
    """
    signing.refuse_pending(repo)
    roles, state = Roles.read(repo), keys.read_state(repo)
    offers: dict[str, dict[str, TargetFile]] = {}
    versions: dict[str, int] = {}
    for name in _catalogues(roles):
        published = _published(repo, roles, name, state[name])
        if published is None:
            continue
        offered = {
            path.partition("/")[2]: file
            for path, file in roles.targets.signed.targets.items()
            if path.startswith(f"{name}/")
        }
        if new_keys:
            secrets = state[name]
            state[name] = replace(secrets, key=randomness.bytes(32), epoch=secrets.epoch + 1)
            published = replace(
                published,
                version=published.version + 1,
                created=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            )
            offered |= _heads(repo, roles, published, state[name], randomness)
        else:
            wrapped = _envelope(repo, roles, name, state[name])
            offered |= _offer(repo, name, {ENVELOPE: wrapped})
        offers[name], versions[name] = offered, published.version
    if new_keys:
        keys.write_state(repo, state)
    if offers:
        roles.offer(offers, now)
    return versions


def refresh(repo: Path, *, now: datetime) -> tuple[str, ...]:
    """Sign the timestamp again, and what else is due and can be; return which were signed.

    Needs only the keys of timestamp and snapshot, so it can run unattended; targets that are due
    are signed too where their keys are here.

    Raises:
        ConfigError: no repository, or its keys are not here.
    """
    with files.locked(signing.existing(repo)):
        return Roles.read(repo).sign_due(now)


def newest_root(repo: Path) -> bytes:
    """Return the newest root.json of `repo`.

    Raises:
        ConfigError: there is no repository.
    """
    return signing.root_files(repo)[-1].read_bytes()


def catalogues(repo: Path) -> tuple[str, ...]:
    """Return the ids of what `repo` offers, in order."""
    return _catalogues(Roles.read(repo))


def target_file(repo: Path, catalogue: str, name: str, digest: str) -> Path:
    """Return where the repository has the target `catalogue/name` with this SHA-256."""
    return repo / "targets" / catalogue / f"{digest}.{name}"


def _catalogues(roles: Roles) -> tuple[str, ...]:
    paths = roles.targets.signed.targets
    return tuple(sorted(path.partition("/")[0] for path in paths if path.endswith(f"/{MANIFEST}")))


def _plan(
    built: Manifest,
    repo: Path,
    roles: Roles,
    secrets: CatalogueKeys | None,
    randomness: Randomness,
) -> _Plan:
    secrets = secrets or CatalogueKeys(key=randomness.bytes(32))
    published = _published(repo, roles, built.catalogue, secrets)
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
    build: Path,
    repo: Path,
    built: Manifest,
    plan: _Plan,
    randomness: Randomness,
    progress: Progress | None,
) -> tuple[list[ShardEntry], CatalogueKeys]:
    """Seal what is fresh, each shard under a key of its own, and write it, one by one."""
    done = dict(plan.secrets.shards)
    for entry in plan.fresh:
        local.shard(build, entry)  # a damaged build is refused before anything is written
    for number, entry in enumerate(plan.fresh, start=1):
        key = randomness.bytes(sealed.KEY)
        blob = sealed.seal(
            key,
            local.shard(build, entry),
            sealed.shard_aad(built.catalogue, entry.name),
            salt=randomness.bytes(sealed.SALT),
            prefix=randomness.bytes(sealed.PREFIX),
        )
        (target,) = _offer(repo, built.catalogue, {entry.name: blob}).values()
        done[entry.name, entry.digest] = SealedShard(key=key.hex(), sealed=target.hashes["sha256"])
        if progress:
            progress(number, len(plan.fresh))
    entries = []
    for entry in built.shards:
        shard = done[entry.name, entry.digest]
        entries.append(replace(entry, key=shard.key, sealed=shard.sealed))
    return entries, replace(plan.secrets, shards=done)


def _bare(published: Manifest) -> Manifest:
    """Return the build that `published` was made from."""
    entries = tuple(replace(entry, key="", sealed="") for entry in published.shards)
    return replace(published, version=0, created=local.CREATED, shards=entries)


def _published(repo: Path, roles: Roles, catalogue: str, secrets: CatalogueKeys) -> Manifest | None:
    target = roles.targets.signed.targets.get(f"{catalogue}/{MANIFEST}")
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


def _heads(
    repo: Path,
    roles: Roles,
    published: Manifest,
    secrets: CatalogueKeys,
    randomness: Randomness,
) -> dict[str, TargetFile]:
    """Write envelope and sealed manifest of one version."""
    name = published.catalogue
    head = sealed.seal(
        secrets.key,
        manifest.encode(published),
        sealed.manifest_aad(name),
        salt=randomness.bytes(sealed.SALT),
        prefix=randomness.bytes(sealed.PREFIX),
    )
    wrapped = _envelope(repo, roles, name, secrets)
    return _offer(repo, name, {ENVELOPE: wrapped, MANIFEST: head})


def _envelope(repo: Path, roles: Roles, catalogue: str, secrets: CatalogueKeys) -> bytes:
    """Return the envelope that is out, if it serves: wrapping again would give other bytes."""
    group = keys.group(repo)
    members = [group.public_key(), *devices.recipients(repo, catalogue)]
    recipients = {envelope.key_id(public): public for public in members}
    target = roles.targets.signed.targets.get(f"{catalogue}/{ENVELOPE}")
    if target is not None:
        path = target_file(repo, catalogue, ENVELOPE, target.hashes["sha256"])
        with suppress(OSError, IntegrityError):
            blob = path.read_bytes()
            if _serves(blob, group, catalogue, secrets, recipients):
                return blob
    return envelope.wrap(secrets.key, recipients, catalogue=catalogue, epoch=secrets.epoch)


def _serves(
    blob: bytes,
    group: X25519PrivateKey,
    catalogue: str,
    secrets: CatalogueKeys,
    recipients: Mapping[str, X25519PublicKey],
) -> bool:
    held = envelope.unwrap(blob, group, catalogue=catalogue)
    return held == (secrets.key, secrets.epoch) and envelope.recipients(blob) == set(recipients)


def _offer(repo: Path, catalogue: str, blobs: Mapping[str, bytes]) -> dict[str, TargetFile]:
    """Write target files; return name → how metadata describes them."""
    offered = {}
    for name, blob in blobs.items():
        digest = hashlib.sha256(blob).hexdigest()
        path = target_file(repo, catalogue, name, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.put(path, blob)
        offered[name] = TargetFile(
            length=len(blob), hashes={"sha256": digest}, path=f"{catalogue}/{name}"
        )
    return offered
