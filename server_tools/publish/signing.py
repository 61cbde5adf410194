"""The metadata of a repository: read, changed, signed by as many keys as its root asks for.

Where keys of root or targets are kept elsewhere, a change waits in `DIR.keys/pending/` until enough
of them have signed it; devices see nothing of it before. The order of writing is always root,
targets, snapshot, timestamp.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from ondevice.errors import ConfigError, FormatError, NotReadyError
from server_tools.publish import files, keys

ROOT_RENEWAL = timedelta(days=60)  # a root that expires sooner is signed again
DUE = timedelta(days=30)  # the same for targets and snapshot, when only the timestamp is asked for
PENDING = "pending"
_T = TypeVar("_T", Root, Snapshot, Targets, Timestamp)


class WaitingError(NotReadyError):
    """A change is prepared, and more keys must sign it before anybody sees it."""

    def __init__(self, path: Path, role: str, *, signed: int, needed: int) -> None:
        super().__init__(
            f"{role} waits for signatures: {signed} of {needed}; nothing is published yet",
            hint=f"where the other keys are: ondevice-server keys sign {path} --key FILE; "
            "then here: ondevice-server publish --finish --repo DIR",
        )
        self.path = path


@dataclass(slots=True, kw_only=True)
class Roles:
    """The current metadata of a repository, being changed."""

    repo: Path
    held: Mapping[str, CryptoSigner]  # by id
    root: Metadata[Root]
    targets: Metadata[Targets]
    snapshot: Metadata[Snapshot]
    timestamp: Metadata[Timestamp]

    @classmethod
    def read(cls, repo: Path) -> "Roles":
        """Read what the timestamp names; files that an interrupted run left are passed over.

        Raises:
            ConfigError: there is no repository, or a key here must not be used.
            FormatError: it is damaged.
        """
        folder = repo / "metadata"
        timestamp = _load(folder / "timestamp.json", Timestamp)
        snapshot_version = timestamp.signed.snapshot_meta.version
        snapshot = _load(folder / f"{snapshot_version}.snapshot.json", Snapshot)
        targets_version = snapshot.signed.meta["targets.json"].version
        return cls(
            repo=repo,
            held=keys.held(repo),
            root=_load(root_files(repo)[-1], Root),
            targets=_load(folder / f"{targets_version}.targets.json", Targets),
            snapshot=snapshot,
            timestamp=timestamp,
        )

    def offer(self, offers: Mapping[str, Mapping[str, TargetFile]], now: datetime) -> None:
        """Announce new files: catalogue → name → file; a catalogue's older ones are dropped.

        Raises:
            WaitingError: keys that are not here must sign first.
        """
        targets = self.targets.signed
        for catalogue, offered in offers.items():
            for path in [path for path in targets.targets if path.startswith(f"{catalogue}/")]:
                del targets.targets[path]
            targets.targets |= {file.path: file for file in offered.values()}
        self.sign_targets(now)
        self.sign_snapshot(now)
        self.sign_timestamp(now)

    def sign_targets(self, now: datetime) -> None:
        """Sign the next version of the targets, and point the snapshot to it."""
        targets = self.targets.signed
        targets.version += 1
        targets.expires = now + keys.LIFETIME["targets"]
        signers = self._signers("targets")
        blob = keys.sign(self.targets, signers)
        needed = self.root.signed.roles["targets"].threshold
        if len(signers) < needed:
            _wait(self.repo, "targets", blob, signed=len(signers), needed=needed)
        self._put_targets(blob)

    def sign_snapshot(self, now: datetime) -> None:
        """Sign the next version of the snapshot, and point the timestamp to it."""
        snapshot = self.snapshot.signed
        snapshot.version += 1
        snapshot.expires = now + keys.LIFETIME["snapshot"]
        blob = keys.sign(self.snapshot, self._all("snapshot"))
        files.put(self.repo / "metadata" / f"{snapshot.version}.snapshot.json", blob)
        meta = MetaFile.from_data(snapshot.version, blob, ["sha256"])
        self.timestamp.signed.snapshot_meta = meta

    def sign_timestamp(self, now: datetime) -> None:
        """Sign the next version of the timestamp: from here on devices see the rest."""
        self.timestamp.signed.version += 1
        self.timestamp.signed.expires = now + keys.LIFETIME["timestamp"]
        blob = keys.sign(self.timestamp, self._all("timestamp"))
        files.put(self.repo / "metadata" / "timestamp.json", blob)

    def sign_root(self, now: datetime, *, before: Root) -> None:
        """Sign the next version of the root, by its own keys and by those of the one `before`.

        Raises:
            WaitingError: keys that are not here must sign first.
        """
        root = self.root.signed
        root.version += 1
        root.expires = now + keys.LIFETIME["root"]
        ids = {*root.roles["root"].keyids, *before.roles["root"].keyids}
        blob = keys.sign(self.root, [self.held[one] for one in sorted(ids & set(self.held))])
        short = [count for count in _counts(self.root, before) if count[0] < count[1]]
        if short:
            _wait(self.repo, "root", blob, signed=short[0][0], needed=short[0][1])
        files.put(self.repo / "metadata" / f"{root.version}.root.json", blob)

    def sign_due(self, now: datetime) -> tuple[str, ...]:
        """Sign the timestamp, and what expires soon where its keys are here; return the roles."""
        due = {
            role: getattr(self, role).signed.expires - now < DUE for role in ("targets", "snapshot")
        }
        needed = self.root.signed.roles["targets"].threshold
        due["targets"] = due["targets"] and len(self._signers("targets")) >= needed
        if due["targets"]:
            self.sign_targets(now)
        if due["targets"] or due["snapshot"]:
            self.sign_snapshot(now)
        self.sign_timestamp(now)
        done = (*(role for role in due if due[role] or (role == "snapshot" and due["targets"])),)
        return (*done, "timestamp")

    def renew_root(self, now: datetime) -> str:
        """Sign a root again that expires soon, if its keys are here; else say so."""
        root = self.root.signed
        if root.expires - now >= ROOT_RENEWAL:
            return ""
        if len(self._signers("root")) < root.roles["root"].threshold:
            return (
                f"the root expires on {root.expires:%Y-%m-%d}, and its keys are not here: "
                "renew it with ondevice-server keys renew"
            )
        self.sign_root(now, before=root)
        return ""

    def mend(self, now: datetime) -> None:
        """Sign again what the current root no longer vouches for, and retire replaced keys.

        Raises:
            WaitingError: keys that are not here must sign first.
        """
        root = self.root.signed
        stale = [
            role
            for role in ("targets", "snapshot", "timestamp")
            if not _vouched(root, role, getattr(self, role))
        ]
        if "targets" in stale:
            self.sign_targets(now)
        if "targets" in stale or "snapshot" in stale:
            self.sign_snapshot(now)
        if stale:
            self.sign_timestamp(now)
        known = {one for role in root.roles.values() for one in role.keyids}
        retired = keys.folder(self.repo) / "retired"
        for path in keys.role_files(self.repo):
            if keys.signer(path).public_key.keyid not in known:
                retired.mkdir(mode=0o700, exist_ok=True)
                path.replace(retired / path.name)

    def finish(self, now: datetime) -> tuple[str, ...]:
        """Publish what was waiting and has its signatures now; return the roles.

        Raises:
            ConfigError: nothing waits, or it was made for an older repository.
            WaitingError: signatures are still missing.
        """
        waiting = pending(self.repo)
        if not waiting:
            raise ConfigError(f"nothing waits for signatures in {keys.folder(self.repo) / PENDING}")
        if "root" in waiting:
            self._finish_root(waiting["root"])
        if "targets" in waiting:
            blob = waiting["targets"].read_bytes()
            new = _load(waiting["targets"], Targets)
            _next("targets", new.signed.version, self.targets.signed.version, waiting["targets"])
            if not _vouched(self.root.signed, "targets", new):
                needed = self.root.signed.roles["targets"].threshold
                count = _valid(self.root.signed, "targets", new)
                raise WaitingError(waiting["targets"], "targets", signed=count, needed=needed)
            self.targets = new
            self._put_targets(blob)
            self.sign_snapshot(now)
            self.sign_timestamp(now)
            waiting["targets"].unlink()
        self.mend(now)
        return tuple(waiting)

    def _finish_root(self, path: Path) -> None:
        new = _load(path, Root)
        _next("root", new.signed.version, self.root.signed.version, path)
        for have, needed in _counts(new, self.root.signed):
            if have < needed:
                raise WaitingError(path, "root", signed=have, needed=needed)
        files.put(self.repo / "metadata" / f"{new.signed.version}.root.json", path.read_bytes())
        self.root = new
        path.unlink()

    def _put_targets(self, blob: bytes) -> None:
        version = self.targets.signed.version
        files.put(self.repo / "metadata" / f"{version}.targets.json", blob)
        meta = MetaFile.from_data(version, blob, ["sha256"])
        self.snapshot.signed.meta["targets.json"] = meta

    def _signers(self, role: str) -> list[CryptoSigner]:
        """The keys of `role` that are here."""
        ids = self.root.signed.roles[role].keyids
        return [self.held[one] for one in sorted(ids) if one in self.held]

    def _all(self, role: str) -> list[CryptoSigner]:
        found = self._signers(role)
        if len(found) < self.root.signed.roles[role].threshold:
            raise ConfigError(
                f"the key of {role} is not in {keys.folder(self.repo)}",
                hint="put it there while publishing",
            )
        return found


def existing(repo: Path) -> Path:
    """Return the folder of keys of a repository that exists.

    Raises:
        ConfigError: there is no repository, or no keys.
    """
    root_files(repo)
    if not keys.folder(repo).is_dir():
        raise ConfigError(
            f"the keys of {repo} are not here: {keys.folder(repo)} is missing",
            hint="put them back, or make a new repository: ondevice-server keys init --repo DIR",
        )
    return keys.folder(repo)


def root_files(repo: Path) -> list[Path]:
    """Return every root of `repo`, oldest first.

    Raises:
        ConfigError: there is no repository.
    """
    found = list((repo / "metadata").glob("*.root.json"))
    if not found:
        raise ConfigError(
            f"{repo} is not a repository",
            hint="make one: ondevice-server keys init --repo DIR",
        )
    return sorted(found, key=lambda path: int(path.name.partition(".")[0]))


def pending(repo: Path) -> dict[str, Path]:
    """Return role → file of what waits for signatures, root first."""
    found = {role: keys.folder(repo) / PENDING / f"{role}.json" for role in keys.SHARED_ROLES}
    return {role: path for role, path in found.items() if path.is_file()}


def refuse_pending(repo: Path) -> None:
    """Refuse a second change while one waits: it would be lost.

    Raises:
        ConfigError: something waits.
    """
    for role, path in pending(repo).items():
        raise ConfigError(
            f"a change of {role} waits for signatures in {path}",
            hint="finish it: ondevice-server publish --finish --repo DIR; or delete the file to "
            "give it up",
        )


def add_signatures(path: Path, key_files: list[Path]) -> Metadata[Any]:
    """Add signatures to metadata that waits for them, in place; return it.

    Raises:
        ConfigError: a key can't be used.
        FormatError: the file is no metadata of root or targets.
    """
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
    except (OSError, DeserializationError) as error:
        raise FormatError(f"cannot read {path}: {error}") from error
    if not isinstance(metadata.signed, Root | Targets):
        raise FormatError(f"{path} is {metadata.signed.type}, which nobody signs by hand")
    for one in key_files:
        metadata.sign(keys.signer(one), append=True)
    files.put(path, metadata.to_bytes(), mode=0o600)
    return metadata


def described(metadata: Metadata[Any]) -> list[str]:
    """Say in a few lines what a signature under `metadata` vouches for."""
    signed = metadata.signed
    lines = [
        f"{signed.type} {signed.version}, valid until {signed.expires:%Y-%m-%d}: "
        f"{len(metadata.signatures)} signatures"
    ]
    if isinstance(signed, Root):
        for name, role in sorted(signed.roles.items()):
            short = ", ".join(one[:8] for one in sorted(role.keyids))
            lines.append(f"  {name}: {role.threshold} of {short}")
    elif isinstance(signed, Targets):
        sizes: dict[str, list[int]] = {}
        for path, target in signed.targets.items():
            sizes.setdefault(path.partition("/")[0], []).append(target.length)
        lines += [
            f"  {name}: {len(found)} files, {sum(found):,} bytes"
            for name, found in sorted(sizes.items())
        ]
    return lines


def _wait(repo: Path, role: str, blob: bytes, *, signed: int, needed: int) -> None:
    path = keys.folder(repo) / PENDING / f"{role}.json"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    files.put(path, blob, mode=0o600)
    raise WaitingError(path, role, signed=signed, needed=needed)


def _counts(new: Metadata[Root], before: Root) -> list[tuple[int, int]]:
    """Valid and needed signatures of a new root, by the old root's rule and by its own."""
    return [
        (_valid(root, "root", new), root.roles["root"].threshold) for root in (before, new.signed)
    ]


def _valid(root: Root, role: str, metadata: Metadata[Any]) -> int:
    found = root.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    return len(found.signed)


def _vouched(root: Root, role: str, metadata: Metadata[Any]) -> bool:
    try:
        root.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except RepositoryError:
        return False
    return True


def _next(role: str, version: int, current: int, path: Path) -> None:
    if version != current + 1:
        raise ConfigError(
            f"{path} was made for {role} {version - 1}, but the repository has {role} {current}",
            hint="delete the file, and make the change again",
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
