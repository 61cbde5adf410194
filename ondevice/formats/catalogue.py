"""A catalogue in memory, from its shards or from items; the same numbers either way (SPEC 11)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ondevice.domain import Item, Scenario
from ondevice.errors import FormatError
from ondevice.formats import limits, records, tensors
from ondevice.formats.manifest import VECTORS, Manifest, ShardEntry, VectorSpace, check
from ondevice.formats.records import ItemTable, Records
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32, I8, Blob, Codes

_MARGIN = 4096  # bytes that the head of a shard may take
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Named:
    """The n items in a further vector space: what a publisher computed of pictures, or sounds."""

    name: str
    weight: float  # of its likeness beside the score, in spreads of the scores
    codes: I8  # (n, k)
    inverse_norms: F32  # (n,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Catalogue:
    """n items in a space of dimension d. Records stay unparsed until they are asked for."""

    manifest: Manifest
    codes: I8  # (n, d)
    inverse_norms: F32  # (n,)
    bias: F32  # (n,), popularity, in units of the score
    records: Records  # n rows
    space: Space
    named: tuple[Named, ...] = ()

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def dimension(self) -> int:
        """Columns: d."""
        return int(self.codes.shape[1])

    def unit(self, rows: Sequence[int] | slice = slice(None)) -> F32:
        """Return the unit vectors (k, d) of `rows`, as a device scores them."""
        index = rows if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)
        return Codes(self.codes[index], self.inverse_norms[index]).unit()

    @classmethod
    def from_parts(
        cls, manifest: Manifest, shard_bytes: Mapping[str, Blob], space: Space
    ) -> "Catalogue":
        """Put the plaintext shards of `manifest` together.

        Args:
            manifest: what belongs to the catalogue.
            shard_bytes: name → plaintext, already opened or verified; "space" is not needed.
            space: the one that the manifest names.

        Raises:
            FormatError: a shard is missing or malformed, or the parts do not fit one another.
        """
        if space.digest != manifest.space or space.encoder != manifest.encoder:
            raise FormatError(f"'{manifest.catalogue}' belongs to another space or encoder")
        check(manifest)
        shape = (manifest.items, space.dimension)
        codes = np.empty(shape, dtype=np.int8)
        inverse_norms = np.empty(shape[0], dtype=np.float32)
        bias = np.empty(shape[0], dtype=np.float32)
        tables: list[records.RecordTable] = []
        at = 0
        for entries in manifest.groups():
            rows = slice(at, at + entries[0].rows)
            bias_blob, codes_blob, records_blob = (_shard(shard_bytes, e) for e in entries)
            part, weights = tensors.decode(codes_blob), tensors.decode_f32(bias_blob)
            tables.append(records.decode(records_blob))
            _agree(entries[1], part.values.shape, (entries[1].rows, space.dimension))
            _agree(entries[0], weights.shape, (entries[0].rows,))
            _agree(entries[2], (len(tables[-1]),), (entries[2].rows,))
            codes[rows], inverse_norms[rows], bias[rows] = part.values, part.inverse_norms, weights
            at = rows.stop
        return cls(
            manifest=manifest,
            codes=codes,
            inverse_norms=inverse_norms,
            bias=bias,
            records=Records(tables),
            space=space,
            named=tuple(_named(manifest, one, shard_bytes) for one in manifest.vectors),
        )

    @classmethod
    def in_memory(
        cls,
        items: Sequence[Item],
        vectors: F32,
        bias: F32,
        space: Space,
        *,
        catalogue: str = "memory",
        title: str = "In memory",
        scenario: Scenario = Scenario.CONTENT,
        named: Mapping[str, tuple[float, F32]] | None = None,
    ) -> "Catalogue":
        """Make a catalogue of `items` with unit `vectors` (n, d), as a device would see it.

        Vectors go through the same codes as a published catalogue, so scores are the same numbers.
        `named` has further spaces: name → weight and unit vectors (n, k).

        Raises:
            FormatError: the parts do not fit one another, or a number is not finite.
        """
        codes = Codes.quantize(vectors)
        if codes.values.shape != (len(items), space.dimension) or bias.shape != (len(items),):
            raise FormatError(
                f"{len(items)} items, vectors {vectors.shape} and bias {bias.shape} do not fit "
                f"a space of dimension {space.dimension}"
            )
        if not np.isfinite(bias).all():
            raise FormatError("a bias is not finite")
        further = []
        for name, (weight, rows) in sorted((named or {}).items()):
            coded = Codes.quantize(rows)
            if len(coded) != len(items):
                raise FormatError(f"{len(items)} items, {len(coded)} vectors of {name}")
            further.append(
                Named(
                    name=name,
                    weight=weight,
                    codes=coded.values,
                    inverse_norms=coded.inverse_norms,
                )
            )
        manifest = Manifest(
            catalogue=catalogue,
            title=title,
            scenario=scenario,
            version=0,
            created=_EPOCH,
            space=space.digest,
            encoder=space.encoder,
            notice="",
            licence="",
            items=len(items),
            shards=(),
        )
        return cls(
            manifest=manifest,
            codes=codes.values,
            inverse_norms=codes.inverse_norms,
            bias=bias.astype(np.float32),
            records=Records([ItemTable(items)]),
            space=space,
            named=tuple(further),
        )


def split(
    items: Sequence[Item],
    codes: Codes,
    bias: F32,
    *,
    rows: int = limits.GROUP_ROWS,
    named: Mapping[str, Codes] | None = None,
) -> Iterator[tuple[ShardEntry, bytes]]:
    """Yield the shards of a build, row group by row group: the inverse of `from_parts` (SPEC 11.3).

    Args:
        items: n items in row order.
        codes: their n codes.
        bias: (n,), in units of the score.
        rows: largest row group; large records make smaller ones.
        named: name → the n codes in a further vector space (SPEC 8.6).

    Raises:
        FormatError: the parts do not fit one another, or an item is one that a reader would refuse.
    """
    if len(codes) != len(items) or bias.shape != (len(items),) or rows < 1:
        raise FormatError(f"{len(items)} items, {len(codes)} codes and {bias.shape} of bias")
    if len({item.id for item in items}) != len(items):
        raise FormatError("two items have the same id")
    further = dict(sorted((named or {}).items()))
    if any(len(one) != len(items) for one in further.values()):
        raise FormatError("a further vector space does not have one vector for each item")
    widest = max(one.dimension for one in (codes, *further.values()))
    start = 0
    for group, blobs in enumerate(row_groups(items, dimension=widest, rows=rows)):
        stop = start + len(blobs)
        ids = [item.id for item in items[start:stop]]
        for kind, blob in (
            ("bias", tensors.encode_f32(bias[start:stop])),
            ("codes", tensors.encode(codes.rows(start, stop))),
            ("records", records.join(ids, blobs)),
            *(
                (VECTORS + name, tensors.encode(one.rows(start, stop)))
                for name, one in further.items()
            ),
        ):
            yield entry(f"{kind}-{group:05d}", blob, rows=stop - start), blob
        start = stop


def entry(name: str, blob: bytes, *, rows: int = 0) -> ShardEntry:
    """Describe the plaintext `blob` of a build's shard."""
    return ShardEntry(
        name=name,
        kind=name.partition("-")[0],
        rows=rows,
        size=len(blob),
        digest=hashlib.sha256(blob).hexdigest(),
    )


def row_groups(
    items: Iterable[Item], *, dimension: int, rows: int = limits.GROUP_ROWS
) -> Iterator[list[bytes]]:
    """Yield the records of each row group of `items`, which may be a stream (SPEC 11.3).

    Args:
        items: in row order.
        dimension: of the codes, d.
        rows: largest row group; large records make smaller ones.

    Raises:
        FormatError: an item is one that a reader would refuse.
    """
    most = min(rows, limits.GROUP_ROWS, (limits.SHARD - _MARGIN) // (dimension + 4))
    size, group = _MARGIN, list[bytes]()
    for item in items:
        blob = records.row_bytes(item)
        cost = len(blob) + len(item.id.encode("utf-8")) + 5  # a start and a line end
        if len(group) == most or size + cost > limits.SHARD:
            yield group
            size, group = _MARGIN, []
        group.append(blob)
        size += cost
    if group:
        yield group


def _named(manifest: Manifest, one: VectorSpace, shard_bytes: Mapping[str, Blob]) -> Named:
    codes = np.empty((manifest.items, one.dimension), dtype=np.int8)
    inverse_norms = np.empty(manifest.items, dtype=np.float32)
    at = 0
    for shard in manifest.further(one.name):
        part = tensors.decode(_shard(shard_bytes, shard))
        _agree(shard, part.values.shape, (shard.rows, one.dimension))
        rows = slice(at, at + shard.rows)
        codes[rows], inverse_norms[rows] = part.values, part.inverse_norms
        at = rows.stop
    return Named(name=one.name, weight=one.weight, codes=codes, inverse_norms=inverse_norms)


def _shard(shard_bytes: Mapping[str, Blob], shard: ShardEntry) -> Blob:
    blob = shard_bytes.get(shard.name)
    if blob is None or len(blob) != shard.size:
        raise FormatError(f"shard {shard.name} is missing or has another size than {shard.size}")
    return blob


def _agree(shard: ShardEntry, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise FormatError(f"shard {shard.name} has shape {found}, the manifest says {expected}")
