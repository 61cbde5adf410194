"""What is on the device: one line for each catalogue, and its sealed files opened into memory.

Shards stay sealed on disk. Opening needs the catalogue's key, which comes out of its envelope.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.domain import Scenario
from ondevice.errors import FormatError, NotReadyError
from ondevice.formats import canonical
from ondevice.formats.fields import SLUG, Fields
from ondevice.paths import bundled

if TYPE_CHECKING:
    from ondevice.formats.catalogue import Catalogue
    from ondevice.formats.manifest import Manifest, ShardEntry

POINTER = "active"  # the file that says which version is used
_FORMAT = "ondevice-active/1"
_LIMIT = 1 << 16
_COUNT = 1 << 53
_SEALING = 1 << 16  # bytes that sealing may add to a shard
THREADS = 2  # that decrypt at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One catalogue that is ready to be loaded."""

    id: str
    title: str
    scenario: Scenario
    version: int
    items: int
    expires: datetime | None  # aware, UTC; from then on it is stale. None: never
    folder: Path  # of this version
    origin: str  # "sample", or the address it came from


def encode(one: Installed) -> bytes:
    """Write the pointer to `one`, whose folder lies two levels below the pointer's."""
    return canonical.dump(
        {
            "format": _FORMAT,
            "title": one.title,
            "scenario": one.scenario.value,
            "version": one.version,
            "items": one.items,
            "expires": one.expires.isoformat() if one.expires else "",
            "folder": one.folder.name,
            "origin": one.origin,
        }
    )


def read(folder: Path) -> Installed | None:
    """Return what is active in `folder`, or None: nothing was ever installed there.

    Raises:
        FormatError: the pointer is damaged.
    """
    path = folder / POINTER
    try:
        with path.open("rb") as file:
            blob = file.read(_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error
    what = str(path)
    keys = ("format", "title", "scenario", "version", "items", "expires", "folder", "origin")
    try:
        fields = Fields(canonical.load(blob, what=what, limit=_LIMIT), what=what, required=keys)
        fields.constant("format", _FORMAT)
        expires = fields.text("expires", low=0, high=64)
        return Installed(
            id=folder.name,
            title=fields.text("title", high=_LIMIT),
            scenario=Scenario(fields.text("scenario", high=32)),
            version=fields.integer("version", low=1, high=_COUNT),
            items=fields.integer("items", low=0, high=_COUNT),
            expires=datetime.fromisoformat(expires) if expires else None,
            folder=folder / "versions" / fields.matching("folder", SLUG),
            origin=fields.text("origin", high=_LIMIT),
        )
    except (FormatError, ValueError) as error:
        raise FormatError(
            f"{what} is damaged: {error}",
            hint=f"remove it and join again: ondevice-rec catalogue remove {folder.name}",
        ) from error


def open_manifest(blob: bytes, key: bytes, catalogue: str) -> "Manifest":
    """Return the manifest of `catalogue` sealed in `blob`.

    Raises:
        FormatError: damaged, of another catalogue, or not a published one.
    """
    from ondevice.formats import manifest, sealed

    opened = manifest.decode(sealed.open_sealed(key, blob, sealed.manifest_aad(catalogue)))
    if opened.catalogue != catalogue or not opened.sealed:
        raise FormatError(f"the manifest of '{catalogue}' belongs to something else")
    return opened


def assemble(
    manifest: "Manifest", sealed_file: Callable[["ShardEntry"], Path], *, digests: bool
) -> "Catalogue":
    """Decrypt every shard of `manifest` and put the catalogue together.

    Args:
        manifest: a published one, believed.
        sealed_file: where a shard's ciphertext is.
        digests: check the plaintexts against the manifest too; decrypting already proves that
            they were sealed under the keys in it.

    Raises:
        NotReadyError: a file is missing, or the space is one that this device does not have.
        FormatError: a shard is damaged, or the parts do not fit one another.
    """
    from ondevice.formats import space
    from ondevice.formats.catalogue import Catalogue

    opened = _Opened(manifest, sealed_file, digests=digests)
    own = opened.get("space")
    into = space.read(bundled("space")) if own is None else space.decode(own)
    if into.digest != manifest.space:
        raise NotReadyError(
            f"'{manifest.catalogue}' is in a space that this version does not have",
            hint="upgrade: pip install --upgrade ondevice-rec",
        )
    return Catalogue.from_parts(manifest, opened, into)


class _Opened(Mapping[str, bytearray]):
    """Shards by name, each opened when it is asked for and then not kept.

    So memory holds what a catalogue is made of and one row group, never all of it twice.
    """

    def __init__(
        self, manifest: "Manifest", sealed_file: Callable[["ShardEntry"], Path], *, digests: bool
    ) -> None:
        self._catalogue = manifest.catalogue
        self._entries = {entry.name: entry for entry in manifest.shards}
        self._sealed_file = sealed_file
        self._digests = digests

    def __getitem__(self, name: str) -> bytearray:
        from ondevice.formats import sealed

        entry = self._entries[name]
        path = self._sealed_file(entry)
        try:
            opened = sealed.open_file(
                bytes.fromhex(entry.key),
                path,
                sealed.shard_aad(self._catalogue, name),
                limit=entry.size + _SEALING,
                threads=THREADS,
            )
        except OSError as error:
            raise _unread(path, error) from error
        if self._digests:
            entry.verify(opened)
        return opened

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def read_file(path: Path, *, limit: int) -> bytes:
    """Return the content of an installed file.

    Raises:
        NotReadyError: it is missing.
        FormatError: it is longer than `limit` bytes, or unreadable.
    """
    try:
        with path.open("rb") as file:
            blob = file.read(limit + 1)
    except OSError as error:
        raise _unread(path, error) from error
    if len(blob) > limit:
        raise FormatError(f"{path} is longer than it can be")
    return blob


def _unread(path: Path, error: OSError) -> NotReadyError | FormatError:
    if isinstance(error, FileNotFoundError):
        return NotReadyError(
            f"{path} is missing", hint="fetch it again: ondevice-rec catalogue update"
        )
    return FormatError(f"cannot read {path}: {error.strerror}")


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, hex; "" where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
