"""Install catalogues: staged, verified as a whole, then made active by one replaced file.

    catalogues/ID/active              which version is used; the last file written
    catalogues/ID/versions/N-…/       manifest, envelope, and the metadata that vouches for them
    catalogues/ID/shards/<SHA-256>    sealed, shared by the versions that have them
    catalogues/ID/trust               the newest metadata this device believes
    catalogues/.staging/ID/           what is being fetched; kept for another try when it broke off

Whatever fails, the version that was active stays active and complete. The version before it is
kept until the next update, for processes that are still reading it.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ondevice.errors import (
    ConfigError,
    NotReadyError,
    TrustError,
)
from ondevice.formats import invite as invites
from ondevice.formats import limits
from ondevice.formats.fields import SLUG
from ondevice.paths import Home
from ondevice.updates import files, shelf, staging
from ondevice.updates.shelf import POINTER, Installed
from ondevice.updates.staging import ENVELOPE, MANIFEST, Staged

if TYPE_CHECKING:
    from ondevice.formats.catalogue import Catalogue
    from ondevice.formats.manifest import Manifest, ShardEntry
    from ondevice.updates.trust import TrustState

__all__ = [
    "Installed",
    "KeyRing",
    "Update",
    "add",
    "installed",
    "join",
    "load",
    "remove",
    "update",
    "verify",
]

_TRUST = "trust"


class KeyRing(Protocol):
    """Where named secrets are kept at rest; the device's keybox is one."""

    @property
    def device_private(self) -> bytes:
        """The X25519 private key of this device, 32 raw bytes."""
        ...

    def get(self, name: str) -> bytes | None:
        """Return a secret, or None."""
        ...

    def put(self, name: str, secret: bytes) -> None:
        """Keep a secret, in place of any of this name."""
        ...

    def drop(self, name: str) -> None:
        """Forget a secret; none of this name is fine."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What an update did."""

    id: str
    before: int  # version
    after: int  # the same: there was nothing newer
    fetched: tuple[str, ...] = ()  # shards
    size: int = 0  # their bytes


def installed(home: Home) -> list[Installed]:
    """Return this person's own catalogues, by id. Reads one small file for each.

    Raises:
        FormatError: a pointer is damaged.
    """
    try:
        folders = sorted(path for path in home.catalogues.iterdir() if SLUG.fullmatch(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [one for one in map(shelf.read, folders) if one is not None]


def load(home: Home, catalogue: str, *, keys: KeyRing) -> "Catalogue":
    """Verify metadata and manifest of an installed catalogue again, and decrypt it into memory.

    An expired one loads too: what was installed keeps working, and is shown as stale.

    Raises:
        NotReadyError: not installed, a file is missing, or its key is.
        IntegrityError: something on this device has been changed.
    """
    one, manifest = _believed(home, catalogue, keys)
    return shelf.assemble(manifest, _shards(one), digests=False)


def verify(home: Home, catalogue: str, *, keys: KeyRing) -> None:
    """Check every byte of an installed catalogue.

    Raises:
        NotReadyError, IntegrityError: as `load`.
    """
    one, manifest = _believed(home, catalogue, keys)
    shelf.assemble(manifest, _shards(one), digests=True)


def add(home: Home, invitation: Path, *, keys: KeyRing, now: datetime) -> list[str]:
    """Join the publisher of the file `invitation`; return the ids that were installed.

    Raises:
        NotReadyError: the file is missing, or the publisher offline or without such a catalogue.
        ConfigError: a catalogue of this id is installed already.
        IntegrityError: something is damaged or not to be believed; nothing was installed.
    """
    from ondevice.updates import trust

    invited = _read_invitation(invitation)
    with files.locked(home):
        state = staging.newest(invited.url, trust.start(invited.root, now=now), now)
        offered = staging.offered(state)
        wanted = invited.catalogues or tuple(offered)
        missing = sorted(set(wanted) - set(offered))
        if missing or not wanted:
            raise NotReadyError(
                f"the publisher does not offer '{missing[0]}'" if missing else "nothing is offered",
                hint="it may not be published yet: ask the publisher, or try again later",
            )
        _free(home, wanted)
        private = invited.group_private
        staged = [staging.stage(home, invited.url, state, name, private) for name in wanted]
        for one in staged:
            keys.put(_secret(one.manifest.catalogue), private)
            _activate(home, one)
    return list(wanted)


def join(home: Home, url: str, root: bytes, *, keys: KeyRing, now: datetime) -> list[str]:
    """Install what the publisher at `url` lets this enrolled device read; return the ids.

    Args:
        home: of this device.
        url: https://… or file:///…
        root: the publisher's root.json, got by a way that is trusted.
        keys: of this device, whose public key the publisher has enrolled.
        now: the time.

    Raises:
        NotReadyError: offline, or this device is not enrolled there.
        ConfigError: a catalogue of this id is installed already.
        IntegrityError: something is damaged or not to be believed; nothing was installed.
    """
    from ondevice.updates import trust

    private = keys.device_private
    with files.locked(home):
        state = staging.newest(url, trust.start(root, now=now), now)
        wanted = [
            name
            for name in staging.offered(state)
            if staging.readable(url, trust.targets(state), name, private)
        ]
        if not wanted:
            raise NotReadyError(
                "the publisher has nothing for this device",
                hint="show it the key of this device first: ondevice-rec device enrol",
            )
        _free(home, wanted)
        for one in [staging.stage(home, url, state, name, private) for name in wanted]:
            keys.put(_secret(one.manifest.catalogue), private)
            _activate(home, one)
    return wanted


def opened_by_device(catalogue: str, *, keys: KeyRing) -> bool:
    """Whether an installed catalogue is opened by this device's own key, not by a group's."""
    return keys.get(_secret(catalogue)) == keys.device_private


def update(home: Home, catalogue: str, *, keys: KeyRing, now: datetime) -> Update:
    """Fetch the newest version of an installed catalogue: only the shards that changed.

    Raises:
        NotReadyError: not installed, offline, or a file is missing at the source.
        IntegrityError: what is offered is damaged, older, or not to be believed; what was
            installed stays.
    """
    from ondevice.updates import trust

    with files.locked(home):
        one = _active(home, catalogue)
        folder = home.catalogues / catalogue
        old = trust.decode(shelf.read_file(folder / _TRUST, limit=trust.STATE_LIMIT))
        state = staging.newest(one.origin, old, now, keep=folder / _TRUST)
        if catalogue not in staging.offered(state):
            raise NotReadyError(
                f"the publisher no longer offers '{catalogue}'",
                hint="what is installed keeps working",
            )
        target = staging.target_of(trust.targets(state), catalogue, MANIFEST)
        if shelf.digest_of(one.folder / MANIFEST) == target.digest:
            heads = staging.heads_of(one.origin, trust.targets(state), catalogue, one.folder)
            _point(folder, replace(one, expires=trust.expires(state)), heads, state)
            return Update(id=catalogue, before=one.version, after=one.version)
        staged = staging.stage(
            home, one.origin, state, catalogue, _group_key(keys, catalogue), present=one
        )
        _activate(home, staged)
    return Update(
        id=catalogue,
        before=one.version,
        after=staged.manifest.version,
        fetched=tuple(staged.fetched),
        size=sum(staged.fetched.values()),
    )


def remove(home: Home, catalogue: str, *, keys: KeyRing) -> None:
    """Remove an installed catalogue and its key.

    Raises:
        NotReadyError: there is none of this id.
    """
    folder = home.catalogues / catalogue
    if not SLUG.fullmatch(catalogue) or not folder.is_dir():
        raise _not_installed(catalogue)
    with files.locked(home):
        (folder / POINTER).unlink(missing_ok=True)  # first: from here on it is not installed
        shutil.rmtree(folder)
        keys.drop(_secret(catalogue))


def _free(home: Home, wanted: Sequence[str]) -> None:
    for name in wanted:
        present = shelf.read(home.catalogues / name)
        if present is not None:
            raise ConfigError(
                f"'{name}' is installed already, from {present.origin}",
                hint=f"update it, or first: ondevice-rec catalogue remove {name}",
            )


def _read_invitation(path: Path) -> invites.Invite:
    try:
        with path.open("rb") as file:
            blob = file.read(limits.INVITE + 1)
    except OSError as error:
        raise NotReadyError(
            f"cannot read {path}: {error.strerror}",
            hint="ask the publisher for an .invite file, and give its path",
        ) from error
    return invites.decode(blob)


def _activate(home: Home, staged: Staged) -> None:
    """Move a verified version into place."""
    from ondevice.updates import trust

    manifest = staged.manifest
    folder = home.catalogues / manifest.catalogue
    gathered = staging.folder_of(home, manifest.catalogue)
    shards = folder / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    for entry in manifest.shards:
        with suppress(FileNotFoundError):  # it is in place already
            (gathered / entry.sealed).replace(shards / entry.sealed)
    files.sync(shards)
    one = Installed(
        id=manifest.catalogue,
        title=manifest.title,
        scenario=manifest.scenario,
        version=manifest.version,
        items=manifest.items,
        expires=trust.expires(staged.state),
        folder=folder,
        origin=staged.url,
    )
    _point(folder, one, staged.heads, staged.state)
    shutil.rmtree(gathered, ignore_errors=True)


def _point(folder: Path, one: Installed, heads: Mapping[str, bytes], state: "TrustState") -> None:
    """Make `one` active: what vouches for it goes to a new folder, the pointer comes last."""
    from ondevice.updates import trust

    before = shelf.read(folder)
    believed = trust.encode(state)
    name = f"{one.version}-{hashlib.sha256(believed).hexdigest()[:16]}"
    one = replace(one, folder=folder / "versions" / name)
    if before is None or before.folder != one.folder:
        if one.folder.exists():  # an earlier try that never became active
            shutil.rmtree(one.folder)
        one.folder.mkdir(parents=True)
        for part, blob in {**heads, _TRUST: believed}.items():
            files.put(one.folder / part, blob)
        files.sync(one.folder.parent)
    files.put(folder / _TRUST, believed)
    files.put(folder / POINTER, shelf.encode(one))
    _prune(folder, {one.folder} if before is None else {one.folder, before.folder})


def _prune(folder: Path, keep: set[Path]) -> None:
    """Delete what no kept version uses."""
    from ondevice.updates import trust

    used: set[str] = set()
    for version in keep:
        state = trust.decode(shelf.read_file(version / _TRUST, limit=trust.STATE_LIMIT))
        used |= {target.digest for target in trust.targets(state).values()}
    for version in (folder / "versions").iterdir():
        if version not in keep:
            shutil.rmtree(version)
    for path in (folder / "shards").iterdir():
        if path.name not in used:
            path.unlink()


def _believed(home: Home, catalogue: str, keys: KeyRing) -> tuple[Installed, "Manifest"]:
    """Verify what is stored about the active version, signatures first."""
    from ondevice.updates import trust

    one = _active(home, catalogue)
    state = trust.decode(shelf.read_file(one.folder / _TRUST, limit=trust.STATE_LIMIT))
    trust.recheck(state)
    heads: dict[str, bytes] = {}
    for name in (ENVELOPE, MANIFEST):
        target = staging.target_of(trust.targets(state), catalogue, name)
        heads[name] = shelf.read_file(one.folder / name, limit=target.length)
        target.verify(heads[name])
    manifest = staging.open_manifest(heads, _group_key(keys, catalogue), catalogue)
    shown = (one.version, one.items, one.title, one.scenario)
    if shown != (manifest.version, manifest.items, manifest.title, manifest.scenario):
        raise TrustError(
            f"what this device notes about '{catalogue}' is not what its publisher signed",
            hint="update it; if that fails, remove it and join again",
        )
    return one, manifest


def _shards(one: Installed) -> Callable[["ShardEntry"], Path]:
    return lambda entry: one.folder.parent.parent / "shards" / entry.sealed


def _active(home: Home, catalogue: str) -> Installed:
    one = shelf.read(home.catalogues / catalogue) if SLUG.fullmatch(catalogue) else None
    if one is None:
        raise _not_installed(catalogue)
    return one


def _secret(catalogue: str) -> str:
    return f"group/{catalogue}"


def _group_key(keys: KeyRing, catalogue: str) -> bytes:
    private = keys.get(_secret(catalogue))
    if private is None:
        raise NotReadyError(
            f"this device has no key for '{catalogue}'",
            hint=f"remove it and join again: ondevice-rec catalogue remove {catalogue}",
        )
    return private


def _not_installed(catalogue: str) -> NotReadyError:
    return NotReadyError(
        f"there is no catalogue '{catalogue}' installed",
        hint="see which there are: ondevice-rec catalogue list",
    )
