"""Row groups of a build: one after the other, encoded, quantised and written, never all at once.

A finished group is kept in the build's work folder under a digest of everything that it was made
from, and so is every finished piece of `CHUNK` texts: a build that was killed goes on from there.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ondevice import durable
from ondevice.domain import Item
from ondevice.errors import FormatError
from ondevice.formats import canonical, tensors
from ondevice.formats import catalogue as shards
from ondevice.formats.fields import Fields
from ondevice.formats.manifest import ShardEntry
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32, Codes

CHUNK = 256  # texts encoded between two checkpoints
_HEAD_LIMIT = 1 << 20
_KINDS = 1 << 10  # shards of one group, at most


class TextEncoder(Protocol):
    """What turns texts into unit vectors; `ondevice.encoder.Encoder` is one."""

    @property
    def digest(self) -> str:
        """SHA-256 of the encoder's files, hex."""
        ...

    def encode(self, texts: Sequence[str]) -> F32:
        """Return unit rows (n, e); a text gets the same row in any company."""
        ...


class Engine(Protocol):
    """Where texts are encoded: in this process, or by many workers."""

    def chunks(self, texts: Sequence[Sequence[str]]) -> Iterator[F32]:
        """Yield the unit rows of each chunk of `texts`, in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One shard in a file."""

    entry: ShardEntry
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Makes the groups of one build."""

    space: Space
    engine: Engine
    bias: Callable[[Sequence[Item]], F32]
    bias_name: str  # what bias and residual of an item depend on beside the item
    work: Path  # checkpoints of this and of earlier tries
    told: Callable[[int], None]  # hears the number of items done
    residual: Callable[[Sequence[Item]], F32] | None = None  # what a head learned of items

    def groups(self, items: Iterable[Item]) -> Iterator[Made]:
        """Yield every shard of every row group, in row order; its file lies in the work folder."""
        done = 0
        for number, (members, blobs) in enumerate(_with_items(items, self.space.dimension)):
            key = self._key(members, blobs)
            entries = self._kept(key)
            if entries is None:
                self._make(members, key, done)
                entries = self._kept(key)
                if entries is None:
                    raise FormatError(f"what was just written to {self.work} cannot be read")
            done += len(members)
            self.told(done)
            for entry in entries:
                kind = entry.name.partition("-")[0]
                path = self.work / key / entry.name
                yield Made(entry=_renamed(entry, f"{kind}-{number:05d}"), path=path)

    def _make(self, members: Sequence[Item], key: str, before: int) -> None:
        vectors = self._vectors(members, before)
        residual = None if self.residual is None else self.residual(members)
        codes = Codes.quantize(self.space.project(vectors, residual))
        draft = self.work / f"{key}.part"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        entries = []
        for entry, blob in shards.split(members, codes, self.bias(members)):
            durable.put(draft / entry.name, blob, mode=0o644)
            entries.append([entry.name, entry.rows, entry.size, entry.digest])
        durable.put(draft / "group", canonical.dump({"shards": entries}))
        draft.rename(self.work / key)
        durable.sync(self.work)
        for texts in _chunks(members):
            self._chunk_file(texts).unlink(missing_ok=True)

    def _vectors(self, members: Sequence[Item], before: int) -> F32:
        """Return encoder vectors (n, e), of finished chunks from the work folder."""
        chunks = list(_chunks(members))
        parts = [self._kept_chunk(texts) for texts in chunks]
        missing = [texts for texts, part in zip(chunks, parts, strict=True) if part is None]
        fresh = self.engine.chunks(missing)
        done = before
        for place, texts in enumerate(chunks):
            if parts[place] is None:
                part = np.asarray(next(fresh), dtype=np.float32)
                durable.put(self._chunk_file(texts), tensors.encode_f32(part))
                parts[place] = part
            done += len(texts)
            self.told(done)
        return np.concatenate([part for part in parts if part is not None])

    def _chunk_file(self, texts: Sequence[str]) -> Path:
        digest = hashlib.sha256(self.space.encoder.encode())
        for text in texts:
            raw = text.encode("utf-8")
            digest.update(len(raw).to_bytes(4, "big") + raw)
        return self.work / f"{digest.hexdigest()}.f32"

    def _kept_chunk(self, texts: Sequence[str]) -> F32 | None:
        """Return a finished chunk; one that was cut short by a crash is made again."""
        try:
            part = tensors.decode_f32(self._chunk_file(texts).read_bytes())
        except (OSError, FormatError):
            return None
        return part if part.ndim == 2 and len(part) == len(texts) else None

    def _key(self, members: Sequence[Item], blobs: Sequence[bytes]) -> str:
        digest = hashlib.sha256(f"{self.space.digest} {self.bias_name}".encode())
        for item, blob in zip(members, blobs, strict=True):
            for raw in (item.id.encode("utf-8"), blob):
                digest.update(len(raw).to_bytes(4, "big") + raw)
        return digest.hexdigest()

    def _kept(self, key: str) -> list[ShardEntry] | None:
        """Return the shards of a finished group whose files are whole."""
        folder = self.work / key
        try:
            blob = (folder / "group").read_bytes()
            table = canonical.load(blob, what="a group", limit=_HEAD_LIMIT)
            rows = Fields(table, what="a group", required=("shards",)).array("shards", high=_KINDS)
            entries = [_entry(row) for row in rows]
            if any((folder / one.name).stat().st_size != one.size for one in entries):
                return None
        except (OSError, FormatError):
            return None
        return entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Encodes in this process."""

    encoder: TextEncoder

    def chunks(self, texts: Sequence[Sequence[str]]) -> Iterator[F32]:
        """Yield the unit rows of each chunk of `texts`, in order."""
        return (self.encoder.encode(chunk) for chunk in texts)


def _with_items(items: Iterable[Item], dimension: int) -> Iterator[tuple[list[Item], list[bytes]]]:
    taken: list[Item] = []

    def watched() -> Iterator[Item]:
        for item in items:
            taken.append(item)
            yield item

    for blobs in shards.row_groups(watched(), dimension=dimension):
        members, taken[:] = taken[: len(blobs)], taken[len(blobs) :]
        yield members, blobs


def _chunks(members: Sequence[Item]) -> Iterator[list[str]]:
    for start in range(0, len(members), CHUNK):
        yield [item.text for item in members[start : start + CHUNK]]


def _entry(row: object) -> ShardEntry:
    match row:
        case [str(name), int(rows), int(size), str(digest)]:
            return _renamed(
                ShardEntry(name=name, kind="", rows=rows, size=size, digest=digest), name
            )
    raise FormatError("a shard of a group is malformed")


def _renamed(entry: ShardEntry, name: str) -> ShardEntry:
    return ShardEntry(
        name=name,
        kind=name.partition("-")[0],
        rows=entry.rows,
        size=entry.size,
        digest=entry.digest,
    )
