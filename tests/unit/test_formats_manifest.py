"""Manifests: the parts must make up one catalogue, with all keys or none."""

import hashlib
import json
from dataclasses import replace

import pytest

from ondevice.domain import Scenario
from ondevice.errors import FormatError
from ondevice.formats import canonical, limits, manifest
from ondevice.formats.manifest import Manifest, ShardEntry


def shard(name: str, rows: int, *, sealed: bool = False) -> ShardEntry:
    mark = hashlib.sha256(name.encode()).hexdigest()
    return ShardEntry(
        name=name,
        kind=name.partition("-")[0],
        rows=rows,
        size=100,
        digest=mark,
        key=mark if sealed else "",
        sealed=mark if sealed else "",
    )


NAMES = [
    ("bias-00000", 30_000),
    ("bias-00001", 5),
    ("codes-00000", 30_000),
    ("codes-00001", 5),
    ("records-00000", 30_000),
    ("records-00001", 5),
    ("space", 0),
]
BUILD = Manifest(
    catalogue="films-and-books",
    title="Films & books",
    scenario=Scenario.CONTENT,
    version=0,
    created="2026-01-15T12:00:00Z",
    space="ab" * 32,
    encoder="cd" * 32,
    notice="Made for tests.\nTwo lines.",
    licence="CC0-1.0",
    items=30_005,
    shards=tuple(shard(name, rows) for name, rows in NAMES),
)
PUBLISHED = replace(
    BUILD, version=3, shards=tuple(shard(name, rows, sealed=True) for name, rows in NAMES)
)
EMPTY = replace(BUILD, items=0, shards=(), notice="", licence="")


@pytest.mark.parametrize("given", [BUILD, PUBLISHED, EMPTY], ids=["build", "published", "empty"])
def test_a_manifest_comes_back(given: Manifest) -> None:
    blob = manifest.encode(given)

    assert manifest.decode(blob) == given
    assert manifest.encode(manifest.decode(blob)) == blob
    assert given.sealed == (given is PUBLISHED)


def test_shards_are_sorted_when_written() -> None:
    shuffled = replace(BUILD, shards=BUILD.shards[::-1])
    assert manifest.encode(shuffled) == manifest.encode(BUILD)


def test_parts_are_found() -> None:
    assert BUILD.shard("space") == shard("space", 0)
    assert BUILD.shard("codes-00002") is None
    assert [[e.name for e in group] for group in BUILD.groups()] == [
        ["bias-00000", "codes-00000", "records-00000"],
        ["bias-00001", "codes-00001", "records-00001"],
    ]


def test_a_key_is_never_shown() -> None:
    entry = PUBLISHED.shards[0]
    assert entry.key == entry.sealed == entry.digest
    assert repr(replace(entry, sealed="", digest="")).count(entry.key) == 0


def test_a_shard_knows_its_bytes() -> None:
    entry = replace(shard("space", 0), size=3, digest=hashlib.sha256(b"abc").hexdigest())
    entry.verify(memoryview(b"abc"))
    with pytest.raises(FormatError, match="has 4 bytes"):
        entry.verify(b"abcd")
    with pytest.raises(FormatError, match="not the one"):
        entry.verify(b"abd")


def without(*names: str) -> tuple[ShardEntry, ...]:
    return tuple(entry for entry in BUILD.shards if entry.name not in names)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (replace(BUILD, shards=without("codes-00000")), "not numbered"),
        (replace(BUILD, shards=without("codes-00001")), "do not agree"),
        (replace(BUILD, shards=without("bias-00001", "codes-00001", "records-00001")), "30005"),
        (replace(BUILD, items=30_004), "do not agree"),
        (replace(BUILD, shards=(*without("bias-00001"), shard("bias-00001", 6))), "do not agree"),
        (replace(BUILD, shards=(*BUILD.shards, shard("space", 0))), "once each"),
        (replace(BUILD, version=1), "must have a key"),
        (replace(PUBLISHED, version=0), "neither key"),
        (replace(PUBLISHED, shards=(*PUBLISHED.shards[:-1], shard("space", 0))), "must have a key"),
        (
            replace(
                BUILD, shards=(*BUILD.shards[:-1], replace(shard("space", 0), sealed="ab" * 32))
            ),
            "neither key",
        ),
        (replace(EMPTY, items=1), "do not agree"),
        (replace(EMPTY, shards=(shard("space", 1),)), "cannot have 1 rows"),
        (replace(EMPTY, shards=(shard("codes-00000", 0),)), "cannot have 0 rows"),
        (replace(EMPTY, shards=(shard("codes-00000", limits.GROUP_ROWS + 1),)), "rows"),
        (replace(EMPTY, shards=(shard("codes-0", 1),)), "name"),
        (replace(EMPTY, shards=(shard("../codes-00000", 1),)), "name"),
        (replace(EMPTY, shards=(replace(shard("space", 0), kind="codes"),)), "kind"),
        (replace(EMPTY, shards=(replace(shard("space", 0), size=0),)), "size"),
        (replace(EMPTY, shards=(replace(shard("space", 0), size=limits.SHARD + 1),)), "size"),
        (replace(EMPTY, shards=(replace(shard("space", 0), digest=""),)), "digest"),
        (replace(EMPTY, shards=(replace(shard("space", 0), key="xy"),)), "key"),
        (replace(EMPTY, catalogue="../up"), "catalogue"),
        (replace(EMPTY, catalogue="A"), "catalogue"),
        (replace(EMPTY, title="\x1b[1m"), "title"),
        (replace(EMPTY, scenario="poetry"), "scenario"),  # type: ignore[arg-type]
        (replace(EMPTY, version=-1), "version"),
        (replace(EMPTY, created="2026-01-15"), "created"),
        (replace(EMPTY, space=""), "space"),
        (replace(EMPTY, encoder="x" * 64), "encoder"),
        (replace(EMPTY, notice="x" * (limits.NOTICE + 1)), "notice"),
        (replace(EMPTY, licence="a\nb"), "licence"),
    ],
)
def test_what_does_not_fit_together_is_neither_written_nor_read(
    given: Manifest, words: str
) -> None:
    with pytest.raises(FormatError, match=words):
        manifest.encode(given)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "ondevice-manifest/2"},
        {"colour": "red"},
        {"shards": {}},
        {"shards": [1]},
        {"shards": [{}]},
        {"items": 0.0},
        {"items": "0"},
    ],
)
def test_other_documents_are_refused(change: dict[str, object]) -> None:
    table = json.loads(manifest.encode(EMPTY)) | change
    with pytest.raises(FormatError):
        manifest.decode(canonical.dump(table))


def test_the_order_of_shards_is_part_of_the_format() -> None:
    table = json.loads(manifest.encode(BUILD))
    table["shards"].reverse()
    with pytest.raises(FormatError, match="order"):
        manifest.decode(canonical.dump(table))
