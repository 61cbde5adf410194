"""The sample catalogues that ship with the package: ready at once, and never stale.

They are trusted as the program is: `INDEX_DIGEST` below is part of its code, the index names the
digest of each sealed manifest, and a manifest those of its shards. They go through the same
formats as anything a publisher sends, so the first list a person sees has taken the same way.

`PUBLISHED_KEY` is no secret; sealing the samples hides nothing and is not meant to. That is why
every key, salt and prefix may be derived from it and from the content: rebuilding gives the same
bytes. With a real key that would tell whoever holds the files which contents are equal, and let
them confirm a guess.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.domain import Scenario
from ondevice.errors import FormatError, NotReadyError, TrustError
from ondevice.formats import canonical
from ondevice.formats.fields import HEX_DIGEST, SLUG, Fields
from ondevice.paths import bundled
from ondevice.updates import shelf
from ondevice.updates.shelf import Installed

if TYPE_CHECKING:
    from ondevice.formats.catalogue import Catalogue

# Rewritten by `make demo-bundle`.
INDEX_DIGEST = "9e9ed94f34d428b86a1c0495a72fd5158c683b39ba94e33e033e2932bf5f8afa"

PUBLISHED_KEY = hashlib.sha256(b"ondevice-rec samples: this key is published").digest()
INDEX_FILE = "index.json"
MANIFEST_FILE = "manifest"
_FORMAT = "ondevice-bundle/1"
_INFO = "ondevice-bundle/1"
_LIMIT = 1 << 20
_COUNT = 1 << 24


def derive(*purpose: str, length: int = 32) -> bytes:
    """Return bytes that depend on the published key and `purpose` alone: no secret, see above."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    from ondevice.formats import sealed

    info = sealed.aad(_INFO, *purpose)
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(PUBLISHED_KEY)


def catalogue_key(catalogue: str) -> bytes:
    """Return the key that seals the manifest of a sample catalogue."""
    return derive("catalogue", catalogue)


def folder() -> Path:
    """Return where the bundle is, or would be.

    Raises:
        NotReadyError: not even its place is in this installation.
    """
    return bundled("demo") / "bundle"


def installed() -> list[Installed]:
    """Return the samples, by id; none where the bundle is missing. Reads one small file.

    Raises:
        TrustError: the index is not the one that this program was released with.
    """
    try:
        place = folder()
    except NotReadyError:
        return []
    return [] if not place.is_dir() else [one for one, _ in index(place, INDEX_DIGEST)]


def load(catalogue: str) -> "Catalogue":
    """Verify and decrypt a sample catalogue into memory.

    Raises:
        NotReadyError: there is none of this id, or a file is missing.
        IntegrityError: a file is not the one that this program was released with.
    """
    place = folder()
    return load_from(place, INDEX_DIGEST, catalogue)


def load_from(place: Path, digest: str, catalogue: str) -> "Catalogue":
    """Load `catalogue` from the bundle in `place`, whose index has this SHA-256; see `load`."""
    found = {one.id: (one, sealed) for one, sealed in index(place, digest)}
    if catalogue not in found:
        raise NotReadyError(
            f"there is no sample catalogue '{catalogue}'",
            hint=f"there are: {', '.join(sorted(found)) or 'none'}",
        )
    one, expected = found[catalogue]
    blob = shelf.read_file(one.folder / MANIFEST_FILE, limit=_LIMIT)
    if hashlib.sha256(blob).hexdigest() != expected:
        raise _changed(one.folder / MANIFEST_FILE)
    manifest = shelf.open_manifest(blob, catalogue_key(catalogue), catalogue)
    return shelf.assemble(manifest, lambda entry: one.folder / entry.sealed, digests=True)


def write_index(samples: list[tuple[Installed, str]]) -> bytes:
    """Write the index of a bundle: each sample with the SHA-256 of its sealed manifest."""
    table = [
        {
            "id": one.id,
            "title": one.title,
            "scenario": one.scenario.value,
            "version": one.version,
            "items": one.items,
            "manifest": digest,
        }
        for one, digest in sorted(samples, key=lambda sample: sample[0].id)
    ]
    return canonical.dump({"format": _FORMAT, "catalogues": table})


def index(place: Path, digest: str) -> list[tuple[Installed, str]]:
    """Return the samples in `place`, each with the SHA-256 of its sealed manifest.

    Raises:
        NotReadyError: there is no index.
        TrustError: its SHA-256 is not `digest`.
        FormatError: it is malformed all the same.
    """
    blob = shelf.read_file(place / INDEX_FILE, limit=_LIMIT)
    if hashlib.sha256(blob).hexdigest() != digest:
        raise _changed(place / INDEX_FILE)
    what = "the index of the samples"
    table = canonical.load(blob, what=what, limit=_LIMIT)
    fields = Fields(table, what=what, required=("format", "catalogues"))
    fields.constant("format", _FORMAT)
    return [_sample(row, place, what) for row in fields.array("catalogues", high=1024)]


def _sample(row: object, place: Path, what: str) -> tuple[Installed, str]:
    keys = ("id", "title", "scenario", "version", "items", "manifest")
    fields = Fields(row, what=what, required=keys)
    name = fields.matching("id", SLUG)
    scenario = fields.text("scenario", high=32)
    if scenario not in set(Scenario):
        raise FormatError(f"{what}: unknown scenario {scenario!r}")
    one = Installed(
        id=name,
        title=fields.text("title", high=1024),
        scenario=Scenario(scenario),
        version=fields.integer("version", low=1, high=_COUNT),
        items=fields.integer("items", low=0, high=_COUNT),
        expires=None,
        folder=place / name,
        origin="sample",
    )
    return one, fields.matching("manifest", HEX_DIGEST)


def _changed(path: Path) -> TrustError:
    return TrustError(
        f"{path} is not the file that this program was released with",
        hint="reinstall the package: pip install --force-reinstall ondevice-rec",
    )
