"""Make the bundle of sample catalogues: models/demo/catalogues → models/demo/bundle.

Each catalogue is `NAME.jsonl` beside `NAME.toml` (id, title, scenario, notice, licence), built with
the shipped encoder in the base space, and sealed as `ondevice.updates.embedded` explains, so the
same records, encoder and space give the same bytes. The digest of the index is then written into
that module.
"""

import hashlib
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ondevice.domain import Item, Scenario
from ondevice.errors import ConfigError, IntegrityError
from ondevice.formats import manifest, sealed, space
from ondevice.formats.fields import SLUG
from ondevice.formats.manifest import Manifest, ShardEntry
from ondevice.formats.space import Space
from ondevice.paths import bundled
from ondevice.updates import embedded
from ondevice.updates.embedded import INDEX_FILE, MANIFEST_FILE, derive
from ondevice.updates.shelf import Installed
from server_tools.embed import local
from server_tools.embed.local import Details, TextEncoder
from server_tools.embed.progress import Bar
from server_tools.sources import jsonl

VERSION = 1  # of every sample; what counts is the digest of the index
_KEYS = {"id", "title", "scenario", "notice", "licence"}
_CONSTANT = re.compile(r'^INDEX_DIGEST = "[0-9a-f]*"$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The records of one sample catalogue."""

    details: Details
    items: tuple[Item, ...]


def sources(folder: Path) -> list[Source]:
    """Read every `NAME.toml` in `folder`, with the `NAME.jsonl` beside it.

    Raises:
        ConfigError: there is none, or one is not as it should be.
    """
    found = [_source(path) for path in sorted(folder.glob("*.toml"))]
    if not found:
        raise ConfigError(f"{folder} has no NAME.toml", hint="give the folder of the samples")
    return found


def bundle(catalogues: list[Source], *, encoder: TextEncoder, base: Space, out: Path) -> str:
    """Write the bundle to the new folder `out`; return the SHA-256 of its index, hex.

    Raises:
        ConfigError, FormatError: as `server_tools.embed.local.build`.
    """
    samples = []
    with tempfile.TemporaryDirectory() as scratch, Bar("samples", stream=sys.stderr) as bar:
        total = sum(len(source.items) for source in catalogues)
        done = 0
        for source in catalogues:
            build = Path(scratch) / source.details.catalogue
            local.build(
                source.items,
                encoder=encoder,
                into=base,
                details=source.details,
                out=build,
                space_travels=False,
            )
            built = local.read_manifest(build)
            blobs = {entry.name: local.shard(build, entry) for entry in built.shards}
            samples.append(_seal(built, blobs, out / source.details.catalogue))
            done += len(source.items)
            bar.show(done, total)
    index = embedded.write_index(samples)
    (out / INDEX_FILE).write_bytes(index)
    return hashlib.sha256(index).hexdigest()


def main(*, check: bool = False) -> None:
    """Rebuild the bundle of this checkout; with `check` only compare, and change nothing.

    Raises:
        IntegrityError: with `check`, the bundle is not what its sources give.
    """
    from ondevice.encoder.session import Encoder

    demo, module = bundled("demo"), Path(embedded.__file__)
    with tempfile.TemporaryDirectory(dir=demo.parent) as scratch:
        fresh = Path(scratch) / "bundle"
        digest = bundle(
            sources(demo / "catalogues"),
            encoder=Encoder.load(bundled("encoder")),
            base=space.read(bundled("space")),
            out=fresh,
        )
        if check:
            if digest != embedded.INDEX_DIGEST or contents(fresh) != contents(demo / "bundle"):
                raise IntegrityError(
                    f"the bundle in {demo / 'bundle'} is not what its sources give",
                    hint="run: make demo-bundle",
                )
            return
        target = demo / "bundle"
        if target.exists():
            shutil.rmtree(target)
        fresh.rename(target)
    module.write_text(with_digest(module.read_text(encoding="utf-8"), digest), encoding="utf-8")
    size = sum(map(len, contents(demo / "bundle").values()))
    print(f"{demo / 'bundle'}: {size:,} bytes, index {digest}", file=sys.stderr)


def with_digest(code: str, digest: str) -> str:
    """Return the text of `embedded.py` with another `INDEX_DIGEST`.

    Raises:
        ConfigError: the constant is not there exactly once.
    """
    changed, count = _CONSTANT.subn(f'INDEX_DIGEST = "{digest}"', code)
    if count != 1:
        raise ConfigError(f"embedded.py must set INDEX_DIGEST once, not {count} times")
    return changed


def contents(folder: Path) -> dict[str, bytes]:
    """Return path in `folder` → bytes, of every file in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _source(path: Path) -> Source:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    unknown = sorted(set(table) - _KEYS)
    if unknown or not {"title", "scenario"} <= set(table):
        raise ConfigError(
            f"{path}: unknown key '{unknown[0]}'" if unknown else f"{path} lacks title or scenario",
            hint=f"keys: {', '.join(sorted(_KEYS))}",
        )
    if not all(isinstance(value, str) for value in table.values()):
        raise ConfigError(f"{path}: every value is a text")
    name = table.get("id", path.stem)
    if not SLUG.fullmatch(name) or table["scenario"] not in set(Scenario):
        raise ConfigError(
            f"{path}: the id or the scenario is not one",
            hint=f"scenarios: {', '.join(Scenario)}",
        )
    return Source(
        details=Details(
            catalogue=name,
            scenario=Scenario(table["scenario"]),
            title=table["title"],
            notice=table.get("notice", ""),
            licence=table.get("licence", ""),
        ),
        items=tuple(jsonl.read(path.with_suffix(".jsonl"))),
    )


def _seal(built: Manifest, shards: Mapping[str, bytes], folder: Path) -> tuple[Installed, str]:
    """Seal one build into `folder` by derived keys; see `ondevice.updates.embedded`."""
    name = built.catalogue
    folder.mkdir(parents=True)
    entries: list[ShardEntry] = []
    for entry in built.shards:
        purpose = (name, entry.name, entry.digest)
        key = derive("content", *purpose)
        blob = _sealed(key, shards[entry.name], sealed.shard_aad(name, entry.name), purpose)
        digest = hashlib.sha256(blob).hexdigest()
        (folder / digest).write_bytes(blob)
        entries.append(replace(entry, key=key.hex(), sealed=digest))
    plain = manifest.encode(replace(built, version=VERSION, shards=tuple(entries)))
    purpose = (name, MANIFEST_FILE, hashlib.sha256(plain).hexdigest())
    head = _sealed(embedded.catalogue_key(name), plain, sealed.manifest_aad(name), purpose)
    (folder / MANIFEST_FILE).write_bytes(head)
    one = Installed(
        id=name,
        title=built.title,
        scenario=built.scenario,
        version=VERSION,
        items=built.items,
        expires=None,
        folder=folder,
        origin="sample",
    )
    return one, hashlib.sha256(head).hexdigest()


def _sealed(key: bytes, plain: bytes, aad: bytes, purpose: tuple[str, ...]) -> bytes:
    return sealed.seal(
        key,
        plain,
        aad,
        salt=derive("salt", *purpose, length=sealed.SALT),
        prefix=derive("prefix", *purpose, length=sealed.PREFIX),
    )


if __name__ == "__main__":
    main(check="--check" in sys.argv[1:])
