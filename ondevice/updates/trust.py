"""Whom to believe: the client side of The Update Framework as a pure state machine over bytes.

A `TrustState` is what this device believes of one publisher. Each function takes a state and the
bytes of one metadata file, and returns the next state or raises; nothing is read, written, fetched
or timed here. The order is fixed: roots one by one, timestamp, snapshot, targets; each step needs
the one before. Only `tuf.api.metadata` is used: `tuf.ngclient` would load an HTTP library.

Source: TUF specification 1.0.33, section 5 (client workflow); clauses are cited as [TUF 5.x].

Not covered: delegated targets; a publisher here signs its targets itself, and others are refused.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from tuf.api.exceptions import LengthOrHashMismatchError, RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError, SerializationError

from ondevice.errors import FormatError, RollbackError, TrustError
from ondevice.formats import canonical
from ondevice.formats.fields import HEX_DIGEST, Fields

FORMAT = "ondevice-trust/1"
ROOT_LIMIT = 512 << 10  # bytes, of each kind of metadata
TIMESTAMP_LIMIT = 16 << 10
SNAPSHOT_LIMIT = 1 << 20
TARGETS_LIMIT = 16 << 20
STATE_LIMIT = 32 << 20
MIXED = "the source may be mixed up or half uploaded: retry later, or choose another source"
ROTATIONS = 256  # roots followed in one go
_TARGETS = "targets.json"
_S = TypeVar("_S", Root, Timestamp, Snapshot, Targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustState:
    """Verified metadata, as the publisher's bytes, and the newest time this device has seen.

    A field that is not None has passed every check that its function names.
    """

    root: bytes
    timestamp: bytes | None = None
    snapshot: bytes | None = None
    targets: bytes | None = None
    newest: datetime  # aware, UTC, whole seconds; never goes back, whatever the clock says


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One file that the publisher vouches for."""

    path: str  # "ID/manifest"
    length: int  # bytes
    digest: str = field(metadata={"unit": "SHA-256, hex"})

    def verify(self, content: bytes) -> None:
        """Refuse bytes that are not this file's.

        Raises:
            TrustError: another length or another digest.
        """
        if len(content) != self.length or hashlib.sha256(content).hexdigest() != self.digest:
            raise TrustError(
                f"{self.path} is not the file that its publisher signed",
                hint="nothing was installed; the source may be damaged or mixed up: retry later",
            )


def start(root: bytes, *, now: datetime) -> TrustState:
    """Believe `root`, which came by a trusted way: an invitation [TUF 5.2].

    Raises:
        FormatError: it is not root metadata.
        TrustError: it is not signed by its own keys.
    """
    metadata = _parse(root, Root, ROOT_LIMIT)
    _signed_by(metadata.signed, metadata, "root")
    return TrustState(root=root, newest=now)


def at(state: TrustState, now: datetime) -> TrustState:
    """Let time pass: a clock set back cannot bring expired metadata back to life."""
    return replace(state, newest=max(state.newest, now))


def root_version(state: TrustState) -> int:
    """Return the version of the trusted root; the next one to ask for is one higher."""
    return _root(state).version


def with_root(state: TrustState, blob: bytes) -> TrustState:
    """Accept the next root: signed by the keys of the trusted one and by its own [TUF 5.3].

    Timestamp and snapshot are dropped when their keys changed, so that a publisher can recover
    from stolen ones that signed absurdly high versions [TUF 5.3.11].

    Raises:
        FormatError: it is not root metadata.
        RollbackError: an older version.
        TrustError: wrong signatures, or not exactly the next version.
    """
    old, new = _root(state), _parse(blob, Root, ROOT_LIMIT)
    _not_older("root", new.signed.version, old.version)
    if new.signed.version != old.version + 1:
        raise TrustError(
            f"expected root {old.version + 1}, got root {new.signed.version}", hint=MIXED
        )
    _signed_by(old, new, "root")
    _signed_by(new.signed, new, "root")
    changed = any(_keys(old, role) != _keys(new.signed, role) for role in ("timestamp", "snapshot"))
    if changed:
        return replace(state, root=blob, timestamp=None, snapshot=None)
    return replace(state, root=blob)


def check_root(state: TrustState) -> None:
    """Refuse an expired root, once the newest one is known [TUF 5.3.10].

    Raises:
        TrustError: it has expired.
    """
    _fresh(_root(state), state.newest)


def with_timestamp(state: TrustState, blob: bytes) -> TrustState:
    """Accept what the publisher says is newest [TUF 5.4].

    Raises:
        FormatError: it is not timestamp metadata.
        RollbackError: it, or the snapshot it names, is older than what was accepted.
        TrustError: wrong signatures, expired, or two different ones of one version.
    """
    new = _parse(blob, Timestamp, TIMESTAMP_LIMIT)
    _signed_by(_root(state), new, "timestamp")
    if state.timestamp is not None:
        old = _parse(state.timestamp, Timestamp, TIMESTAMP_LIMIT).signed
        _not_older("timestamp", new.signed.version, old.version)
        if new.signed.version == old.version and new.signed != old:
            raise _contradiction("timestamp", old.version)
        _not_older("snapshot", new.signed.snapshot_meta.version, old.snapshot_meta.version)
    _fresh(new.signed, state.newest)
    return replace(state, timestamp=blob)


def snapshot_version(state: TrustState) -> int:
    """Return the version of the snapshot that the timestamp names."""
    return _timestamp(state).snapshot_meta.version


def with_snapshot(state: TrustState, blob: bytes) -> TrustState:
    """Accept the snapshot that the timestamp names [TUF 5.5].

    Raises:
        FormatError: it is not snapshot metadata.
        RollbackError: it names targets older than what was accepted.
        TrustError: another file than the one named, wrong signatures, or expired.
    """
    named = _timestamp(state).snapshot_meta
    _is_named(blob, named, "snapshot")
    new = _parse(blob, Snapshot, SNAPSHOT_LIMIT)
    _signed_by(_root(state), new, "snapshot")
    _same_version("snapshot", new.signed.version, named.version)
    if _TARGETS not in new.signed.meta:
        raise TrustError("the snapshot does not name any targets", hint=MIXED)
    if state.snapshot is not None:
        for name, meta in _parse(state.snapshot, Snapshot, SNAPSHOT_LIMIT).signed.meta.items():
            if name not in new.signed.meta:
                raise TrustError(f"the snapshot no longer names {name}", hint=MIXED)
            _not_older(name.removesuffix(".json"), new.signed.meta[name].version, meta.version)
    _fresh(new.signed, state.newest)
    return replace(state, snapshot=blob)


def targets_version(state: TrustState) -> int:
    """Return the version of the targets that the snapshot names."""
    return _snapshot(state).meta[_TARGETS].version


def with_targets(state: TrustState, blob: bytes) -> TrustState:
    """Accept the targets that the snapshot names [TUF 5.6].

    Raises:
        FormatError: it is not targets metadata.
        TrustError: another file than the one named, wrong signatures, expired, or delegations.
    """
    named = _snapshot(state).meta[_TARGETS]
    _is_named(blob, named, "targets")
    new = _parse(blob, Targets, TARGETS_LIMIT)
    _signed_by(_root(state), new, "targets")
    _same_version("targets", new.signed.version, named.version)
    if new.signed.delegations is not None:
        raise TrustError("these targets hand trust on to others, which is not supported")
    _fresh(new.signed, state.newest)
    return replace(state, targets=blob)


def recheck(state: TrustState) -> None:
    """Verify a stored state as a whole again, signatures and links, but not expiry.

    What is installed keeps working when its metadata expires; it is shown as stale.

    Raises:
        FormatError, TrustError: the stored state has been tampered with.
    """
    again = start(state.root, now=datetime.min.replace(tzinfo=UTC))
    if state.timestamp is None or state.snapshot is None or state.targets is None:
        raise TrustError("the stored metadata is incomplete")
    again = with_timestamp(again, state.timestamp)
    again = with_snapshot(again, state.snapshot)
    with_targets(again, state.targets)


def targets(state: TrustState) -> dict[str, Target]:
    """Return path → target, of every file that the publisher vouches for.

    Raises:
        TrustError: no targets were accepted yet, or a target has no SHA-256.
    """
    if state.targets is None:
        raise TrustError("no targets were accepted yet")
    found: dict[str, Target] = {}
    for path, info in _parse(state.targets, Targets, TARGETS_LIMIT).signed.targets.items():
        digest = info.hashes.get("sha256", "")
        if not HEX_DIGEST.fullmatch(digest):
            raise TrustError(f"{path} has no SHA-256 digest")
        found[path] = Target(path=path, length=info.length, digest=digest)
    return found


def expires(state: TrustState) -> datetime:
    """Return when the first part of `state` expires: from then on it is stale."""
    parts: list[Signed] = [_root(state), _timestamp(state), _snapshot(state)]
    if state.targets is not None:
        parts.append(_parse(state.targets, Targets, TARGETS_LIMIT).signed)
    return min(part.expires for part in parts)


def encode(state: TrustState) -> bytes:
    """Write `state` as one file."""
    return canonical.dump(
        {
            "format": FORMAT,
            "newest": state.newest.isoformat(),
            "root": state.root.decode("utf-8"),
            "timestamp": _text(state.timestamp),
            "snapshot": _text(state.snapshot),
            "targets": _text(state.targets),
        }
    )


def decode(blob: bytes) -> TrustState:
    """Read what `encode` wrote. The metadata in it is not verified: see `recheck`.

    Raises:
        FormatError: for every malformed input.
    """
    what = "the stored trust"
    keys = ("format", "newest", "root", "timestamp", "snapshot", "targets")
    fields = Fields(canonical.load(blob, what=what, limit=STATE_LIMIT), what=what, required=keys)
    fields.constant("format", FORMAT)
    parts = {key: fields.raw(key) for key in keys[1:]}
    if not all(isinstance(part, str) for part in parts.values()) or not parts["root"]:
        raise FormatError(f"{what}: a field is not a text")
    try:
        newest = datetime.fromisoformat(str(parts["newest"]))
    except ValueError as error:
        raise FormatError(f"{what}: newest is not a time") from error
    if newest.tzinfo is None:
        raise FormatError(f"{what}: newest has no time zone")
    return TrustState(
        root=str(parts["root"]).encode(),
        timestamp=str(parts["timestamp"]).encode() or None,
        snapshot=str(parts["snapshot"]).encode() or None,
        targets=str(parts["targets"]).encode() or None,
        newest=newest,
    )


def _text(blob: bytes | None) -> str:
    return "" if blob is None else blob.decode("utf-8")


def _root(state: TrustState) -> Root:
    return _parse(state.root, Root, ROOT_LIMIT).signed


def _timestamp(state: TrustState) -> Timestamp:
    if state.timestamp is None:
        raise TrustError("no timestamp was accepted yet")
    return _parse(state.timestamp, Timestamp, TIMESTAMP_LIMIT).signed


def _snapshot(state: TrustState) -> Snapshot:
    if state.snapshot is None:
        raise TrustError("no snapshot was accepted yet")
    return _parse(state.snapshot, Snapshot, SNAPSHOT_LIMIT).signed


def _parse(blob: bytes, kind: type[_S], limit: int) -> Metadata[_S]:
    """Read metadata of one kind; `tuf` reports malformed bytes by one type of error."""
    name = kind.type
    if len(blob) > limit:
        raise FormatError(f"{name} metadata has {len(blob):,} bytes, more than {limit:,}")
    try:
        blob.decode("utf-8")
        metadata: Metadata[Any] = Metadata.from_bytes(blob)
    except (DeserializationError, UnicodeDecodeError) as error:
        raise FormatError(f"this is not {name} metadata: {error}") from error
    if not isinstance(metadata.signed, kind):
        raise FormatError(f"expected {name} metadata, got {metadata.signed.type}")
    return metadata


def _signed_by(root: Root, metadata: Metadata[_S], role: str) -> None:
    try:
        root.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except SerializationError as error:
        raise FormatError(f"this is not {role} metadata: {error}") from error
    except (RepositoryError, ValueError) as error:
        raise TrustError(
            f"{role} {metadata.signed.version} is not signed by enough of the keys we trust",
            hint="nothing was installed; ask the publisher whether its keys changed",
        ) from error


def _keys(root: Root, role: str) -> tuple[frozenset[str], int]:
    found = root.roles[role]
    return frozenset(found.keyids), found.threshold


def _fresh(signed: Signed, newest: datetime) -> None:
    if signed.is_expired(newest):
        raise TrustError(
            f"{signed.type} {signed.version} expired on {signed.expires:%Y-%m-%d %H:%M} UTC",
            hint="the source may be frozen, or this device's clock wrong; "
            "what is installed keeps working",
        )


def _not_older(what: str, offered: int, accepted: int) -> None:
    if offered < accepted:
        raise RollbackError(what, offered=offered, accepted=accepted)


def _same_version(role: str, found: int, named: int) -> None:
    if found != named:
        raise TrustError(f"{role} {found} was offered where {named} was announced", hint=MIXED)


def _contradiction(what: str, version: int) -> TrustError:
    return TrustError(
        f"two different files claim to be {what} {version}",
        hint="the source may be mixed up: retry later, or choose another source",
    )


def _is_named(blob: bytes, named: MetaFile, role: str) -> None:
    """The file must be the one that the level above names, to the byte where it says so."""
    try:
        named.verify_length_and_hashes(blob)
    except LengthOrHashMismatchError as error:
        raise TrustError(
            f"the {role} metadata is not the file that was announced: {error}",
            hint="the source may be half uploaded or mixed up: retry later",
        ) from error
