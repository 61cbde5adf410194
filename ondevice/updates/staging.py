"""Fetch a version into staging and verify all of it, before anything of it is used.

The source is untrusted: a mirror, a folder, or another process that only fetches. Everything it
gives is checked against metadata, and metadata against the keys of an invitation.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.errors import IntegrityError, RollbackError, TrustError
from ondevice.formats import limits
from ondevice.formats.fields import SLUG
from ondevice.paths import Home
from ondevice.updates import files, shelf
from ondevice.updates.shelf import Installed

if TYPE_CHECKING:
    from ondevice.formats.manifest import Manifest
    from ondevice.updates.trust import Target, TrustState

MANIFEST, ENVELOPE = "manifest", "envelope"  # targets of each catalogue, beside its shards
_STAGING = ".staging"
_SLACK = 1 << 16  # bytes that sealing may add


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A version that passed every check and is not active yet."""

    manifest: "Manifest"
    state: "TrustState"
    url: str
    heads: Mapping[str, bytes] = field(repr=False)  # manifest and envelope, as fetched
    fetched: Mapping[str, int]  # shard → bytes


def folder_of(home: Home, catalogue: str) -> Path:
    """Return where files of `catalogue` are gathered; kept for another try when it broke off."""
    return home.catalogues / _STAGING / catalogue


def newest(
    url: str, state: "TrustState", now: datetime, *, keep: Path | None = None
) -> "TrustState":
    """Fetch and verify what the publisher says is newest.

    A new root is kept at once, so that keys it took back stay taken back. The time is kept only
    with metadata that was fresh then: a clock that ran ahead cannot lock the device out for good.
    """
    from ondevice.updates import trust
    from ondevice.updates.door import fetch, fetch_optional, join

    def part(name: str) -> str:
        return join(url, "metadata", name)

    seen = state.newest
    state = trust.at(state, now)
    for _ in range(trust.ROTATIONS):
        name = f"{trust.root_version(state) + 1}.root.json"
        blob = fetch_optional(part(name), limit=trust.ROOT_LIMIT)
        if blob is None:
            break
        state = trust.with_root(state, blob)
        if keep is not None:
            files.put(keep, trust.encode(replace(state, newest=seen)))
    trust.check_root(state)
    blob = fetch(part("timestamp.json"), limit=trust.TIMESTAMP_LIMIT)
    state = trust.with_timestamp(state, blob)
    name = f"{trust.snapshot_version(state)}.snapshot.json"
    state = trust.with_snapshot(state, fetch(part(name), limit=trust.SNAPSHOT_LIMIT))
    name = f"{trust.targets_version(state)}.targets.json"
    return trust.with_targets(state, fetch(part(name), limit=trust.TARGETS_LIMIT))


def offered(state: "TrustState") -> list[str]:
    """Return the ids in the publisher's targets."""
    from ondevice.updates import trust

    parts = [path.split("/") for path in trust.targets(state)]
    return sorted(p[0] for p in parts if len(p) == 2 and p[1] == MANIFEST and SLUG.fullmatch(p[0]))


def stage(
    home: Home,
    url: str,
    state: "TrustState",
    catalogue: str,
    private: bytes,
    *,
    present: Installed | None = None,
) -> Staged:
    """Fetch what is missing of `catalogue`, and verify all of it; see the module."""
    from ondevice.updates import trust

    staging = folder_of(home, catalogue)
    staging.mkdir(parents=True, exist_ok=True)
    try:
        targets = trust.targets(state)
        heads = heads_of(url, targets, catalogue, present.folder if present else staging)
        manifest = open_manifest(heads, private, catalogue)
        if present is not None:
            _newer(manifest, present)
        places, fetched = _shard_files(home, url, targets, manifest)
        shelf.assemble(manifest, lambda entry: places[entry.name], digests=True)
    except IntegrityError:
        shutil.rmtree(staging)  # nothing of it can be trusted for another try
        raise
    return Staged(manifest=manifest, state=state, url=url, heads=heads, fetched=fetched)


def heads_of(
    url: str, targets: Mapping[str, "Target"], catalogue: str, near: Path
) -> dict[str, bytes]:
    """Return envelope and manifest, from the folder `near` if it has the ones that are signed."""
    from ondevice.updates.door import fetch

    heads: dict[str, bytes] = {}
    for name, limit in ((ENVELOPE, limits.ENVELOPE), (MANIFEST, limits.MANIFEST + _SLACK)):
        target = target_of(targets, catalogue, name)
        if target.length > limit:
            raise TrustError(f"{target.path} has {target.length:,} bytes, more than {limit:,}")
        if shelf.digest_of(near / name) == target.digest:
            heads[name] = shelf.read_file(near / name, limit=limit)
        else:
            heads[name] = fetch(_address(url, target), limit=target.length)
        target.verify(heads[name])
    return heads


def readable(url: str, targets: Mapping[str, "Target"], catalogue: str, private: bytes) -> bool:
    """Whether the envelope of `catalogue` has a key for the owner of `private`."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from ondevice.formats import envelope
    from ondevice.updates.door import fetch

    target = target_of(targets, catalogue, ENVELOPE)
    if target.length > limits.ENVELOPE:
        raise TrustError(f"{target.path} has more than {limits.ENVELOPE:,} bytes")
    blob = fetch(_address(url, target), limit=target.length)
    target.verify(blob)
    mine = X25519PrivateKey.from_private_bytes(private).public_key()
    return envelope.key_id(mine) in envelope.recipients(blob)


def _shard_files(
    home: Home, url: str, targets: Mapping[str, "Target"], manifest: "Manifest"
) -> tuple[dict[str, Path], dict[str, int]]:
    """Return where each shard's ciphertext is, and name → bytes of those that were fetched."""
    from ondevice.updates.door import fetch_to

    name = manifest.catalogue
    folders = (home.catalogues / name / "shards", folder_of(home, name))
    places: dict[str, Path] = {}
    fetched: dict[str, int] = {}
    for entry in manifest.shards:
        target = target_of(targets, name, entry.name)
        if target.digest != entry.sealed or target.length > limits.SEALED:
            raise TrustError(f"the manifest and the signed targets disagree on {target.path}")
        paths = [folder / entry.sealed for folder in folders]
        place = next((path for path in paths if shelf.digest_of(path) == entry.sealed), None)
        if place is None:
            place = paths[-1]
            fetched[entry.name] = fetch_to(_address(url, target), place, limit=target.length)
            if shelf.digest_of(place) != entry.sealed:
                raise TrustError(
                    f"{target.path} is not the file that its publisher signed",
                    hint="nothing was installed; the source may be damaged: retry later",
                )
        places[entry.name] = place
    return places, fetched


def open_manifest(heads: Mapping[str, bytes], private: bytes, catalogue: str) -> "Manifest":
    """Return the manifest, opened with the group's private key.

    Raises:
        TrustError: the envelope is not for this group.
        FormatError: something is damaged.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from ondevice.formats import envelope

    group = X25519PrivateKey.from_private_bytes(private)
    key, _ = envelope.unwrap(heads[ENVELOPE], group, catalogue=catalogue)
    return shelf.open_manifest(heads[MANIFEST], key, catalogue)


def _newer(manifest: "Manifest", now: Installed) -> None:
    """Signed, and still not to be accepted: a version we have had, with other content."""
    if manifest.version < now.version:
        raise RollbackError(f"'{now.id}'", offered=manifest.version, accepted=now.version)
    if manifest.version == now.version:
        raise TrustError(
            f"two different catalogues claim to be version {now.version} of '{now.id}'",
            hint="what was installed stays; ask the publisher",
        )


def target_of(targets: Mapping[str, "Target"], catalogue: str, name: str) -> "Target":
    """Return what is signed about `catalogue/name`.

    Raises:
        TrustError: nothing.
    """
    target = targets.get(f"{catalogue}/{name}")
    if target is None:
        raise TrustError(f"the publisher's targets do not name {catalogue}/{name}")
    return target


def _address(url: str, target: "Target") -> str:
    from ondevice.updates.door import join

    catalogue, _, name = target.path.partition("/")
    return join(url, "targets", catalogue, f"{target.digest}.{name}")
