"""Manifests: what a catalogue consists of, and under which keys (SPEC 8).

The same document serves twice. In a *build* no shard has a key yet and the version is 0; when it is
published, every shard has a key and the digest of its ciphertext, and the whole is sealed.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ondevice.domain import Scenario
from ondevice.errors import FormatError
from ondevice.formats import canonical, limits
from ondevice.formats.fields import HEX_DIGEST, SLUG, Fields

FORMAT = "ondevice-manifest/1"
BUILD_FILE = "build.json"
KINDS = ("bias", "codes", "records", "space")
GROUP_KINDS = ("bias", "codes", "records")  # one shard of each for every row group
VECTORS = "vectors."  # kind of the shards of a further vector space, before its name
_SHARD_NAME = re.compile(r"(bias|codes|records|vectors\.[a-z0-9_]{1,32})-\d{5}|space", re.ASCII)
_VECTOR_NAME = re.compile(r"[a-z0-9_]{1,32}")
_HEX_OR_EMPTY = re.compile(r"([0-9a-f]{64})?")
_CREATED = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_SHARD_KEYS = ("name", "kind", "rows", "size", "digest", "key", "sealed")
_KEYS = (
    "catalogue",
    "title",
    "scenario",
    "version",
    "created",
    "space",
    "encoder",
    "notice",
    "licence",
    "items",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEntry:
    """One shard. `key` and `sealed` are empty in a build."""

    name: str  # "codes-00000", "records-00000", "bias-00000", "vectors.NAME-00000", or "space"
    kind: str  # one of KINDS, or "vectors.NAME"
    rows: int  # 0 for a space
    size: int  # bytes of plaintext
    digest: str  # SHA-256 of the plaintext, hex
    key: str = field(default="", repr=False)  # content key, hex
    sealed: str = ""  # SHA-256 of the ciphertext, hex; the stem of its file name

    def verify(self, plaintext: bytes | bytearray | memoryview) -> None:
        """Refuse bytes that are not this shard's.

        Raises:
            FormatError: another size or another digest.
        """
        if len(plaintext) != self.size:
            raise FormatError(f"{self.name} has {len(plaintext)} bytes, expected {self.size}")
        if hashlib.sha256(plaintext).hexdigest() != self.digest:
            raise FormatError(f"{self.name} is not the one that the manifest names")


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSpace:
    """A further space in which every item has a vector, such as that of its pictures (SPEC 8.6)."""

    name: str
    dimension: int
    weight: float  # of its likeness beside the score, in spreads of the scores: 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A catalogue in one document."""

    catalogue: str  # id; lower-case letters, digits and hyphens
    title: str
    scenario: Scenario
    version: int  # 0 in a build, then 1, 2, …
    created: str  # "2026-01-15T12:00:00Z"
    space: str  # digest
    encoder: str  # digest
    notice: str  # words of the publisher for whoever uses the catalogue; may be empty
    licence: str  # of the records; may be empty
    items: int
    shards: tuple[ShardEntry, ...]  # names ascending
    vectors: tuple[VectorSpace, ...] = ()  # names ascending

    @property
    def sealed(self) -> bool:
        """Whether the shards have keys: published rather than built."""
        return self.version > 0

    def shard(self, name: str) -> ShardEntry | None:
        """Return the shard called `name`."""
        return next((entry for entry in self.shards if entry.name == name), None)

    def groups(self) -> list[tuple[ShardEntry, ShardEntry, ShardEntry]]:
        """Return (bias, codes, records) of every row group, in row order."""
        by_kind = [[e for e in self.shards if e.kind == kind] for kind in GROUP_KINDS]
        return list(zip(*by_kind, strict=True))

    def further(self, name: str) -> list[ShardEntry]:
        """Return the shards of the vector space `name`, one for each row group."""
        return [entry for entry in self.shards if entry.kind == VECTORS + name]


def encode(manifest: Manifest) -> bytes:
    """Write `manifest`, shards sorted by name (SPEC 8.1).

    Raises:
        FormatError: `decode` would refuse it.
    """
    table: dict[str, object] = {key: getattr(manifest, key) for key in _KEYS}
    table["format"] = FORMAT
    if manifest.vectors:
        table["vectors"] = [
            {"dimension": one.dimension, "name": one.name, "weight": one.weight}
            for one in manifest.vectors
        ]
    table["shards"] = [
        {key: getattr(entry, key) for key in _SHARD_KEYS}
        for entry in sorted(manifest.shards, key=lambda entry: entry.name)
    ]
    blob = canonical.dump(table)
    decode(blob)
    return blob


def decode(blob: bytes | bytearray | memoryview) -> Manifest:
    """Read a manifest, built or published.

    Raises:
        FormatError: for every malformed input, and no other exception type.
    """
    table = canonical.load(blob, what="the manifest", limit=limits.MANIFEST)
    fields = Fields(
        table,
        what="the manifest",
        required=("format", "shards", *_KEYS),
        optional=("vectors",),
    )
    fields.constant("format", FORMAT)
    scenario = fields.text("scenario", high=32)
    if scenario not in set(Scenario):
        raise FormatError(f"the manifest: unknown scenario {scenario!r}")
    vectors = _vectors(fields) if "vectors" in fields else ()
    most = limits.GROUPS * (len(GROUP_KINDS) + len(vectors)) + 1
    manifest = Manifest(
        catalogue=fields.matching("catalogue", SLUG),
        title=fields.text("title", high=limits.TITLE),
        scenario=Scenario(scenario),
        version=fields.integer("version", low=0, high=1 << 53),
        created=fields.matching("created", _CREATED),
        space=fields.matching("space", HEX_DIGEST),
        encoder=fields.matching("encoder", HEX_DIGEST),
        notice=fields.text("notice", low=0, high=limits.NOTICE, lines=True),
        licence=fields.text("licence", low=0, high=limits.LICENCE),
        items=fields.integer("items", low=0, high=limits.ITEMS),
        shards=tuple(_entry(entry) for entry in fields.array("shards", high=most)),
        vectors=vectors,
    )
    check(manifest)
    return manifest


def _vectors(fields: Fields) -> tuple[VectorSpace, ...]:
    found = []
    for table in fields.array("vectors", high=limits.VECTOR_SPACES):
        one = Fields(table, what="a vector space", required=("dimension", "name", "weight"))
        found.append(
            VectorSpace(
                name=one.matching("name", _VECTOR_NAME),
                dimension=one.integer("dimension", low=1, high=limits.DIMENSION),
                weight=one.number("weight", low=0.0, high=1.0),
            )
        )
    names = [one.name for one in found]
    if not names or names != sorted(set(names)):
        raise FormatError("the manifest: vector spaces are not in the order of their names")
    return tuple(found)


def _entry(table: object) -> ShardEntry:
    fields = Fields(table, what="a shard", required=_SHARD_KEYS)
    name = fields.matching("name", _SHARD_NAME)
    fields.constant("kind", name.partition("-")[0])
    rows = fields.integer("rows", low=0, high=limits.GROUP_ROWS)
    if (rows == 0) != (name == "space"):
        raise FormatError(f"shard {name} cannot have {rows} rows")
    return ShardEntry(
        name=name,
        kind=name.partition("-")[0],
        rows=rows,
        size=fields.integer("size", low=1, high=limits.SHARD),
        digest=fields.matching("digest", HEX_DIGEST),
        key=fields.matching("key", _HEX_OR_EMPTY),
        sealed=fields.matching("sealed", _HEX_OR_EMPTY),
    )


def check(manifest: Manifest) -> None:
    """Refuse shards that do not make up one catalogue (SPEC 8.3, 8.4).

    Raises:
        FormatError: they do not.
    """
    names = [entry.name for entry in manifest.shards]
    if names != sorted(set(names)):
        raise FormatError("the manifest: shards are not in the order of their names, once each")
    by_kind = {kind: [e for e in manifest.shards if e.kind == kind] for kind in GROUP_KINDS}
    for kind, entries in by_kind.items():
        if [entry.name for entry in entries] != [f"{kind}-{i:05d}" for i in range(len(entries))]:
            raise FormatError(f"the manifest: {kind} shards are not numbered from 0")
    rows = [_rows(entries) for entries in by_kind.values()]
    rows += _further(manifest)
    if any(other != rows[0] for other in rows) or sum(rows[0]) != manifest.items:
        raise FormatError(f"the manifest: row groups do not agree on {manifest.items} items")
    for entry in manifest.shards:
        if bool(entry.key) != manifest.sealed or bool(entry.sealed) != manifest.sealed:
            raise FormatError(
                f"the manifest: {entry.name} of version {manifest.version} must have "
                + ("a key and a sealed digest" if manifest.sealed else "neither key nor digest")
            )


def _further(manifest: Manifest) -> list[list[int]]:
    """Check the shards of further vector spaces; return the rows of their groups."""
    kinds = {VECTORS + one.name for one in manifest.vectors}
    strange = {e.kind for e in manifest.shards} - kinds - set(KINDS)
    if strange:
        raise FormatError(f"the manifest: no vector space for {min(strange)} shards")
    rows = []
    for one in manifest.vectors:
        entries = manifest.further(one.name)
        kind = VECTORS + one.name
        if [entry.name for entry in entries] != [f"{kind}-{i:05d}" for i in range(len(entries))]:
            raise FormatError(f"the manifest: {kind} shards are not numbered from 0")
        rows.append(_rows(entries))
    return rows


def _rows(entries: Sequence[ShardEntry]) -> list[int]:
    return [entry.rows for entry in entries]
