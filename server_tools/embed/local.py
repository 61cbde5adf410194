"""Build a catalogue: items → encoder → space → codes → shards → `build.json`.

The same items, encoder and space give the same bytes, whatever happened in between and however
many workers there were: a build that was killed goes on where it stopped, from `OUT.work`. Items
are streamed twice, once to count them and once to write them, so memory holds one row group.

Popularity enters as a small public term of the score. `POPULARITY` is the cosine that one standard
deviation of log(1 + popularity) is worth, and two deviations is the most, so a well-liked item wins
among near equals and never against the person's own taste.
"""

import array
import functools
import math
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ondevice import durable
from ondevice.domain import Item, Scenario
from ondevice.errors import ConfigError, FormatError
from ondevice.formats import catalogue as shards
from ondevice.formats import manifest, space
from ondevice.formats.catalogue import Catalogue
from ondevice.formats.manifest import BUILD_FILE, Manifest, ShardEntry
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32
from server_tools.embed.groups import CHUNK, Engine, Local, Maker, TextEncoder
from server_tools.head.learned import Learned

__all__ = [
    "CHUNK",
    "Details",
    "Survey",
    "TextEncoder",
    "build",
    "load",
    "popularity_bias",
    "read_manifest",
    "shard",
    "survey",
]

CREATED = "1970-01-01T00:00:00Z"  # a build has no date: the same input gives the same bytes
POPULARITY = 0.01  # cosine for one standard deviation
POPULARITY_DEVIATIONS = 2.0  # at most that many count
Progress = Callable[[int, int], None]  # items done, items in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a publisher says about a catalogue."""

    catalogue: str  # id; lower-case letters, digits and hyphens
    scenario: Scenario
    title: str
    notice: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What has to be known of all items before the first is written.

    Mean and deviation of log(1 + popularity) are rounded to a tenth, so that one changed number
    does not change the shards of all other items.
    """

    items: int
    mean: float | None  # None: fewer than two items have a popularity
    deviation: float

    def bias(self, items: Sequence[Item], temperature: float) -> F32:
        """Return the popularity term (n,) of each item in units of the score; 0 if unknown."""
        known = np.array([item.popularity is not None for item in items], dtype=bool)
        if self.mean is None:
            return np.zeros(len(items), dtype=np.float32)
        logs = np.log1p(np.array([item.popularity or 0.0 for item in items], dtype=np.float64))
        bounded = np.clip(
            (logs - self.mean) / self.deviation, -POPULARITY_DEVIATIONS, POPULARITY_DEVIATIONS
        )
        return np.where(known, temperature * POPULARITY * bounded, 0.0).astype(np.float32)


def build(
    items: Iterable[Item],
    *,
    encoder: TextEncoder,
    into: Space,
    details: Details,
    out: Path,
    space_travels: bool = True,
    progress: Progress | None = None,
    engine: Engine | None = None,
    head: Learned | None = None,
) -> Manifest:
    """Write the build of `items` to the folder `out`, which appears whole or not at all.

    Args:
        items: at least one, ids unique, as `server_tools.sources` gives them; iterated twice.
        encoder: the one that `into` belongs to.
        into: the space of the catalogue.
        details: what the manifest says.
        out: a new folder, or an earlier build, which is replaced.
        space_travels: put the space into the build; not needed for the one that devices have.
        progress: told after each chunk.
        engine: where texts are encoded; None: in this process, by `encoder`.
        head: what was learned of items in `into`; its biases take the place of popularity.

    Raises:
        ConfigError: `out` is something else, the space belongs to another encoder, or no items.
        FormatError: an item or a detail is one that a reader would refuse.
    """
    out = out.resolve()
    _check(encoder, into, out)
    if head is not None and head.space.digest != into.digest:
        raise ConfigError(
            "what was learned of items belongs to another space",
            hint="give --residuals without --space: a head brings its own",
        )
    surveyed = survey(items)
    if not surveyed.items:
        raise ConfigError("there are no items to build a catalogue from")
    work = out.with_name(out.name + ".work")
    draft = out.with_name(out.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    work.mkdir(exist_ok=True)
    maker = Maker(
        space=into,
        engine=engine or Local(encoder=encoder),
        bias=head.biases
        if head
        else functools.partial(surveyed.bias, temperature=into.temperature),
        bias_name=head.digest
        if head
        else f"{surveyed.mean} {surveyed.deviation} {into.temperature}",
        residual=head.residuals if head else None,
        work=work,
        told=lambda done: progress(done, surveyed.items) if progress else None,
    )
    entries = []
    for made in maker.groups(items):
        _place(made.path, draft / made.entry.name)
        entries.append(made.entry)
    if space_travels:
        blob = space.encode(into)
        durable.put(draft / "space", blob, mode=0o644)
        entries.append(shards.entry("space", blob))
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
        items=surveyed.items,
        shards=tuple(sorted(entries, key=lambda entry: entry.name)),
    )
    durable.put(draft / BUILD_FILE, manifest.encode(built), mode=0o644)
    _replace(out, draft)
    shutil.rmtree(work)
    return built


def survey(items: Iterable[Item]) -> Survey:
    """Go through `items` once; 8 bytes of memory for each that has a popularity."""
    logs, count = array.array("d"), 0
    for item in items:
        count += 1
        if item.popularity is not None:
            logs.append(math.log1p(item.popularity))
    known = np.frombuffer(logs, dtype=np.float64) if logs else np.zeros(0)
    if len(known) < 2:
        return Survey(items=count, mean=None, deviation=0.0)
    return Survey(
        items=count,
        mean=round(float(known.mean()), 1),
        deviation=max(round(float(known.std()), 1), 0.1),
    )


def popularity_bias(items: Sequence[Item], temperature: float) -> F32:
    """Return the popularity term (n,) of each of all items in units of the score."""
    return survey(items).bias(items, temperature)


def shard(folder: Path, entry: ShardEntry) -> bytes:
    """Return the verified bytes of one shard of the build in `folder`.

    Raises:
        FormatError: it is missing or has been damaged.
    """
    try:
        blob = (folder / entry.name).read_bytes()
    except OSError as error:
        raise FormatError(
            f"cannot read {folder / entry.name}: {error.strerror}", hint="build it again"
        ) from error
    entry.verify(blob)
    return blob


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the build in `folder`.

    Raises:
        ConfigError: there is no build.
        FormatError: it has been damaged.
    """
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
        ConfigError, FormatError: as `read_manifest` and `shard`, or it is in another space than
            `base`.
    """
    built = read_manifest(folder)
    found = {entry.name: shard(folder, entry) for entry in built.shards}
    own = found.get("space")
    return Catalogue.from_parts(built, found, base() if own is None else space.decode(own))


def _check(encoder: TextEncoder, into: Space, out: Path) -> None:
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


def _place(kept: Path, new: Path) -> None:
    """Give a checkpoint's file a second name: the checkpoint stays until all is done."""
    try:
        os.link(kept, new)
    except OSError:  # a file system without links
        durable.put(new, kept.read_bytes(), mode=0o644)


def _replace(out: Path, draft: Path) -> None:
    """Put the folder `draft` at `out` in one move; an earlier build makes room only then."""
    old = out.with_name(out.name + ".old")
    if old.exists():
        shutil.rmtree(old)
    if out.exists():
        out.rename(old)
    draft.rename(out)
    durable.sync(out.parent)
    if old.exists():
        shutil.rmtree(old)
