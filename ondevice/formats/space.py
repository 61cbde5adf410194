"""Spaces: where vectors of the encoder become vectors of a stream (SPEC 7).

A space is immutable and named by its digest. On disk it is a folder (`space.json` and one `.f32`
file for each array); inside a catalogue it travels as one shard with the same content.
"""

import hashlib
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ondevice.errors import FormatError
from ondevice.formats import canonical, limits
from ondevice.formats.fields import HEX_DIGEST, Fields
from ondevice.formats.tensors import F32, Blob, decode_f32, encode_f32

FORMAT = "ondevice-space/1"
MAGIC = b"ODS1"
HEAD_FILE = "space.json"
_COUNT = struct.Struct("<4sI")
_SIZE = struct.Struct("<I")
_TENSOR = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
_NAME = 64  # characters of a space's name


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRow:
    """What a person may expect: measured on the publisher's side, shown beside the budget."""

    epsilon: float  # lifetime epsilon
    behaviours: int  # how many are in the stream
    ndcg: float  # NDCG@10, 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecoderNetwork:
    """Weights of a small network that turns a noisy state into a user vector; named arrays."""

    weights: Mapping[str, F32]  # 1 or 2 dimensions each


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Space:
    """A basis and the statistics of typical users in it. Two are the same if their digests are.

    e is the width of the encoder, d the dimension of the space.
    """

    name: str
    encoder: str  # SHA-256 of the encoder, hex
    centre: F32  # (e,), subtracted before projecting
    projection: F32  # (d, e)
    half_life: int  # steps
    temperature: float  # score units of one unit of cosine
    mean: F32  # (d,), mean step of a typical user
    between: F32  # (d, d), covariance of users' mean steps
    within: F32  # (d, d), covariance of one user's steps around their mean
    decoder: DecoderNetwork | None = None  # None: Wiener shrinkage
    interests: Mapping[str, F32] | None = None  # arrays of exact mode; None: one user vector
    lexical: Mapping[str, F32] | None = None  # arrays that read words; None: the encoder alone
    quality: tuple[QualityRow, ...] = field(default=())

    @property
    def dimension(self) -> int:
        """Rows of the projection: d."""
        return int(self.projection.shape[0])

    @property
    def digest(self) -> str:
        """SHA-256 over the content, hex; free of number formatting (SPEC 7.5)."""
        scalars = [self.temperature]
        for row in self.quality:
            scalars += [row.epsilon, row.ndcg]
        arrays = _arrays(self)
        head = canonical.dump(
            {
                "format": FORMAT,
                "name": self.name,
                "encoder": self.encoder,
                "half_life": self.half_life,
                "decoder": self.decoder is not None,
                "behaviours": [row.behaviours for row in self.quality],
                "shapes": {name: list(array.shape) for name, array in arrays.items()},
            }
            | {name: True for name in _OPTIONAL if _group(self, name) is not None}
        )
        hasher = hashlib.sha256(len(head).to_bytes(4, "big") + head)
        hasher.update(np.asarray(scalars, dtype="<f8").tobytes())
        for name in sorted(arrays):
            hasher.update(arrays[name].astype("<f4").tobytes())
        return hasher.hexdigest()

    def project(self, vectors: F32, residual: F32 | None = None) -> F32:
        """Return unit rows (n, d) of encoder vectors (n, e); zeros stay zeros (SPEC 7.6).

        In float64, so that neither the batch nor the number of threads decides a last bit.

        Args:
            vectors: of the encoder.
            residual: (n, d), what a head learned of each item beyond its text; a build adds it.
        """
        wide = vectors.astype(np.float64) - self.centre.astype(np.float64)
        moved = wide @ self.projection.T.astype(np.float64)
        moved[~vectors.any(axis=1)] = 0.0
        if residual is not None:
            moved += residual
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        lengths[lengths == 0] = 1.0
        return np.asarray(moved / lengths, dtype=np.float32)


def write(space: Space, folder: Path) -> None:
    """Write `space` into `folder`, which is created; the same space gives the same bytes.

    Raises:
        FormatError: `read` would refuse it.
    """
    head, tensors = _split(space)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HEAD_FILE).write_bytes(head)
    for name, blob in tensors.items():
        (folder / f"{name}.f32").write_bytes(blob)


def read(folder: Path) -> Space:
    """Read the space in `folder`; files that no name asks for are ignored.

    Raises:
        FormatError: a file is missing or malformed.
    """
    head = _file(folder / HEAD_FILE, limits.SPACE_HEAD)
    names = _names(_head(head))
    return _join(head, {name: _file(folder / f"{name}.f32", limits.SHARD) for name in names})


def encode(space: Space) -> bytes:
    """Write `space` as one shard (SPEC 7.4).

    Raises:
        FormatError: `decode` would refuse it.
    """
    head, tensors = _split(space)
    parts = [head, *(tensors[name] for name in sorted(tensors))]
    blob = _COUNT.pack(MAGIC, len(parts)) + b"".join(_SIZE.pack(len(part)) + part for part in parts)
    decode(blob)
    return blob


def decode(blob: Blob) -> Space:
    """Read a space from one shard.

    Raises:
        FormatError: for every malformed input, and no other exception type.
    """
    if len(blob) < _COUNT.size or len(blob) > limits.SHARD:
        raise FormatError(f"a space takes {_COUNT.size} to {limits.SHARD} bytes, got {len(blob)}")
    magic, count = _COUNT.unpack_from(blob)
    if magic != MAGIC or not 1 <= count <= len(_GROUPS) * limits.TENSORS + len(_FIXED) + 1:
        raise FormatError(f"a space starts with {MAGIC!r} and a count, not {magic!r} {count}")
    parts: list[bytes] = []
    at = _COUNT.size
    for _ in range(count):
        if at + _SIZE.size > len(blob):
            raise FormatError("the space is cut short")
        (size,) = _SIZE.unpack_from(blob, at)
        at += _SIZE.size
        if size > len(blob) - at:
            raise FormatError("the space is cut short")
        parts.append(bytes(blob[at : at + size]))
        at += size
    if at != len(blob):
        raise FormatError("the space has bytes behind its end")
    names = sorted(_names(_head(parts[0])))
    if len(names) != count - 1:
        raise FormatError(f"the space names {len(names)} arrays and holds {count - 1}")
    return _join(parts[0], dict(zip(names, parts[1:], strict=True)))


_FIXED = ("centre", "projection", "mean", "between", "within")
_OPTIONAL = ("interests", "lexical")  # groups of arrays that the head names only if they are there
_GROUPS = ("decoder", *_OPTIONAL)  # a group and a hyphen stand before the name of its arrays


def _group(space: Space, name: str) -> Mapping[str, F32] | None:
    if name == "decoder":
        return None if space.decoder is None else space.decoder.weights
    found: Mapping[str, F32] | None = getattr(space, name)
    return found


def _arrays(space: Space) -> dict[str, F32]:
    arrays: dict[str, F32] = {name: getattr(space, name) for name in _FIXED}
    for group in _GROUPS:
        for name, array in (_group(space, group) or {}).items():
            arrays[f"{group}-{name}"] = array
    return arrays


def _split(space: Space) -> tuple[bytes, dict[str, bytes]]:
    """Return `space.json` and the bytes of each array, as a reader accepts them."""
    decoder = None if space.decoder is None else sorted(space.decoder.weights)
    head = canonical.dump(
        {
            "format": FORMAT,
            "name": space.name,
            "encoder": space.encoder,
            "half_life": space.half_life,
            "temperature": space.temperature,
            "decoder": decoder,
            "quality": [
                {"epsilon": row.epsilon, "behaviours": row.behaviours, "ndcg": row.ndcg}
                for row in space.quality
            ],
        }
        | {name: sorted(found) for name in _OPTIONAL if (found := _group(space, name)) is not None}
    )
    tensors = {name: encode_f32(array) for name, array in _arrays(space).items()}
    _join(head, tensors)
    return head, tensors


def _head(blob: bytes) -> Fields:
    table = canonical.load(blob, what=HEAD_FILE, limit=limits.SPACE_HEAD)
    fields = Fields(
        table,
        what=HEAD_FILE,
        required=(
            "format",
            "name",
            "encoder",
            "half_life",
            "temperature",
            "decoder",
            "quality",
        ),
        optional=_OPTIONAL,
    )
    fields.constant("format", FORMAT)
    return fields


def _names(head: Fields) -> tuple[str, ...]:
    """Return the name of every array that belongs to a space with this head."""
    groups = [f"{group}-{name}" for group in _GROUPS for name in _members(head, group) or ()]
    return (*_FIXED, *groups)


def _members(head: Fields, group: str) -> list[str] | None:
    """Return the names of the arrays of `group`; None if there is no such group."""
    if group not in head or (group == "decoder" and head.raw("decoder") is None):
        return None
    names = head.array(group, high=limits.TENSORS)
    for name in names:
        if not isinstance(name, str) or not _TENSOR.fullmatch(name):
            raise FormatError(f"{HEAD_FILE}: {name!r} cannot be the name of an array")
    texts = [str(name) for name in names]
    if texts != sorted(set(texts)):
        raise FormatError(f"{HEAD_FILE}: the arrays of '{group}' are not in order, once each")
    return texts


def _join(blob: bytes, tensors: Mapping[str, bytes]) -> Space:
    head = _head(blob)
    names = _names(head)
    arrays = {name: decode_f32(tensors[name]) for name in names}
    dimension, width = len(arrays["projection"]), len(arrays["centre"])
    shapes = {
        "centre": (width,),
        "projection": (dimension, width),
        "mean": (dimension,),
        "between": (dimension, dimension),
        "within": (dimension, dimension),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not dimension or not width:
            raise FormatError(f"the space's {name} has shape {arrays[name].shape}, not {shape}")
    groups = {
        group: MappingProxyType({name: arrays[f"{group}-{name}"] for name in members})
        for group in _GROUPS
        if (members := _members(head, group)) is not None
    }
    decoder = groups.get("decoder")
    return Space(
        name=head.text("name", high=_NAME),
        encoder=head.matching("encoder", HEX_DIGEST),
        half_life=head.integer("half_life", low=1, high=1 << 16),
        temperature=head.number("temperature", low=1e-6, high=1e6),
        decoder=None if decoder is None else DecoderNetwork(weights=decoder),
        interests=groups.get("interests"),
        lexical=groups.get("lexical"),
        quality=tuple(_quality(row) for row in head.array("quality", high=limits.QUALITY_ROWS)),
        **{name: arrays[name] for name in _FIXED},
    )


def _quality(row: object) -> QualityRow:
    fields = Fields(
        row, what="a row of the quality table", required=("epsilon", "behaviours", "ndcg")
    )
    return QualityRow(
        epsilon=fields.number("epsilon", low=1e-3, high=1e3),
        behaviours=fields.integer("behaviours", low=0, high=1 << 31),
        ndcg=fields.number("ndcg", low=0.0, high=1.0),
    )


def _file(path: Path, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise FormatError(f"{path} is larger than {limit} bytes")
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error}") from error
