"""Build a catalogue on this machine: items → encoder → space → codes → shards → `build.json`.

The same items, encoder and space give the same bytes, whatever happened in between: a build that
was killed goes on where it stopped. What was encoded is kept in `OUT.work` until the build is done,
one file for each `CHUNK` items, named by the digest of the encoder and the texts it was made from.

Popularity enters as a small public term of the score. `POPULARITY` is the cosine that one standard
deviation of log(1 + popularity) is worth, and two deviations is the most, so a well-liked item wins
among near equals and never against the person's own taste.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ondevice.domain import Item, Scenario
from ondevice.errors import ConfigError, FormatError
from ondevice.formats import catalogue as shards
from ondevice.formats import manifest, space, tensors
from ondevice.formats.catalogue import Catalogue
from ondevice.formats.manifest import BUILD_FILE, Manifest
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32, Codes

CHUNK = 256  # items encoded between two checkpoints
CREATED = "1970-01-01T00:00:00Z"  # a build has no date: the same input gives the same bytes
POPULARITY = 0.01  # cosine for one standard deviation
POPULARITY_DEVIATIONS = 2.0  # at most that many count
Progress = Callable[[int, int], None]  # items done, items in all


class TextEncoder(Protocol):
    """What turns texts into unit vectors; `ondevice.encoder.Encoder` is one."""

    @property
    def digest(self) -> str:
        """SHA-256 of the encoder's files, hex."""
        ...

    def encode(self, texts: Sequence[str]) -> F32:
        """Return unit rows (n, e); a text gets the same row in any company."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a publisher says about a catalogue."""

    catalogue: str  # id; lower-case letters, digits and hyphens
    scenario: Scenario
    title: str
    notice: str = ""
    licence: str = ""


def build(
    items: Sequence[Item],
    *,
    encoder: TextEncoder,
    into: Space,
    details: Details,
    out: Path,
    space_travels: bool = True,
    progress: Progress | None = None,
) -> Manifest:
    """Write the build of `items` to the folder `out`, which appears whole or not at all.

    Args:
        items: at least one, ids unique, as `server_tools.sources` gives them.
        encoder: the one that `into` belongs to.
        into: the space of the catalogue.
        details: what the manifest says.
        out: a new folder, or an earlier build, which is replaced.
        space_travels: put the space into the build; not needed for the one that devices have.
        progress: told after each chunk.

    Raises:
        ConfigError: `out` is something else, the space belongs to another encoder, or no items.
        FormatError: an item or a detail is one that a reader would refuse.
    """
    out = out.resolve()
    _check(items, encoder, into, out)
    work = out.with_name(out.name + ".work")
    vectors = _vectors(items, encoder, work, progress or _silent)
    codes = Codes.quantize(into.project(vectors))
    parts = list(shards.split(items, codes, popularity_bias(items, into.temperature)))
    if space_travels:
        blob = space.encode(into)
        parts.append((shards.entry("space", blob), blob))
    built = Manifest(
        catalogue=details.catalogue,
        title=details.title,
        scenario=details.scenario,
        version=0,
        created=CREATED,
        space=into.digest,
        encoder=into.encoder,
        notice=details.notice,
        licence=details.licence,
        items=len(items),
        shards=tuple(sorted((entry for entry, _ in parts), key=lambda entry: entry.name)),
    )
    files = {entry.name: blob for entry, blob in parts}
    files[BUILD_FILE] = manifest.encode(built)
    _replace(out, files)
    shutil.rmtree(work)
    return built


def popularity_bias(items: Sequence[Item], temperature: float) -> F32:
    """Return the popularity term (n,) of each item in units of the score; 0 where unknown.

    Mean and deviation of log(1 + popularity) are rounded to a tenth, so that one changed number
    does not change the shards of all other items.
    """
    known = np.array([item.popularity is not None for item in items], dtype=bool)
    logs = np.log1p(np.array([item.popularity or 0.0 for item in items], dtype=np.float64))
    if known.sum() < 2:
        return np.zeros(len(items), dtype=np.float32)
    deviation = max(round(float(logs[known].std()), 1), 0.1)
    standard = (logs - round(float(logs[known].mean()), 1)) / deviation
    bounded = np.clip(standard, -POPULARITY_DEVIATIONS, POPULARITY_DEVIATIONS)
    return np.where(known, temperature * POPULARITY * bounded, 0.0).astype(np.float32)


def read(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest and the verified shards of the build in `folder`.

    Raises:
        ConfigError: there is no build.
        FormatError: it has been damaged.
    """
    built = read_manifest(folder)
    found: dict[str, bytes] = {}
    for entry in built.shards:
        try:
            found[entry.name] = (folder / entry.name).read_bytes()
        except OSError as error:
            raise FormatError(
                f"cannot read {folder / entry.name}: {error.strerror}", hint="build it again"
            ) from error
        entry.verify(found[entry.name])
    return built, found


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the build in `folder`; see `read`."""
    try:
        blob = (folder / BUILD_FILE).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{folder} is not a build: it has no {BUILD_FILE}",
            hint="make one: ondevice-server build --source FILE --id ID --scenario S --out DIR",
        ) from error
    built = manifest.decode(blob)
    if built.sealed:
        raise FormatError(f"{folder} holds a published manifest, not a build")
    return built


def load(folder: Path, base: Callable[[], Space]) -> Catalogue:
    """Return the build in `folder` as a device would see it.

    Args:
        folder: a build.
        base: gives the space of builds that carry none.

    Raises:
        ConfigError, FormatError: as `read`, or the build is in another space than `base`.
    """
    built, found = read(folder)
    own = found.get("space")
    return Catalogue.from_parts(built, found, base() if own is None else space.decode(own))


def _check(items: Sequence[Item], encoder: TextEncoder, into: Space, out: Path) -> None:
    if not items:
        raise ConfigError("there are no items to build a catalogue from")
    if into.encoder != encoder.digest:
        raise ConfigError(
            f"the space '{into.name}' belongs to another encoder ({into.encoder[:12]}) "
            f"than this one ({encoder.digest[:12]})",
            hint="give the space that was made with this encoder: --space DIR",
        )
    if out.exists() and not (out / BUILD_FILE).is_file() and (out.is_file() or any(out.iterdir())):
        raise ConfigError(
            f"{out} is there already and is not a build", hint="give a new folder to --out"
        )


def _vectors(items: Sequence[Item], encoder: TextEncoder, work: Path, progress: Progress) -> F32:
    """Return encoder vectors (n, e), of finished chunks from `work`."""
    work.mkdir(parents=True, exist_ok=True)
    parts: list[F32] = []
    for start in range(0, len(items), CHUNK):
        texts = [item.text for item in items[start : start + CHUNK]]
        kept = work / f"{_name(encoder.digest, texts)}.f32"
        part = _kept(kept, rows=len(texts))
        if part is None:
            part = np.asarray(encoder.encode(texts), dtype=np.float32)
            draft = kept.with_suffix(".part")
            draft.write_bytes(tensors.encode_f32(part))
            draft.replace(kept)
        parts.append(part)
        progress(start + len(texts), len(items))
    return np.concatenate(parts)


def _name(encoder: str, texts: Sequence[str]) -> str:
    digest = hashlib.sha256(encoder.encode())
    for text in texts:
        raw = text.encode("utf-8")
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.hexdigest()


def _kept(path: Path, *, rows: int) -> F32 | None:
    """Return a finished chunk; one that was cut short by a crash is made again."""
    try:
        part = tensors.decode_f32(path.read_bytes())
    except (OSError, FormatError):
        return None
    return part if part.ndim == 2 and len(part) == rows else None


def _replace(out: Path, files: dict[str, bytes]) -> None:
    """Put `files` at `out` in one move; an earlier build makes room only for a whole one."""
    draft, old = out.with_name(out.name + ".new"), out.with_name(out.name + ".old")
    for left_over in (draft, old):
        if left_over.exists():
            shutil.rmtree(left_over)
    draft.mkdir(parents=True)
    for name, blob in files.items():
        with (draft / name).open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
    if out.exists():
        out.rename(old)
    draft.rename(out)
    if old.exists():
        shutil.rmtree(old)


def _silent(done: int, total: int) -> None:
    """Say nothing."""
