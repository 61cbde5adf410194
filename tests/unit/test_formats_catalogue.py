"""Catalogues: the same numbers from shards and from memory; lazy; parts must agree."""

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from ondevice.domain import Item, Scenario
from ondevice.errors import FormatError
from ondevice.formats import catalogue, limits, manifest, records, tensors
from ondevice.formats.catalogue import Catalogue, entry, split
from ondevice.formats.manifest import Manifest
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32, Codes

WIDTH, DIMENSION, COUNT = 6, 4, 10


def make_space(dimension: int = DIMENSION) -> Space:
    generator = np.random.default_rng(1)
    return Space(
        name="test",
        encoder="cd" * 32,
        centre=np.zeros(WIDTH, dtype=np.float32),
        projection=generator.normal(size=(dimension, WIDTH)).astype(np.float32),
        half_life=64,
        temperature=4.0,
        mean=np.zeros(dimension, dtype=np.float32),
        between=np.eye(dimension, dtype=np.float32),
        within=np.eye(dimension, dtype=np.float32),
    )


SPACE = make_space()


def make_vectors(count: int, dimension: int = DIMENSION) -> F32:
    dense = np.random.default_rng(2).normal(size=(count, dimension)).astype(np.float32)
    return np.asarray(dense / np.linalg.norm(dense, axis=1, keepdims=True), dtype=np.float32)


def make_items(count: int) -> list[Item]:
    return [Item(id=f"i{n}", title=f"Title {n}", description="words " * 40) for n in range(count)]


ITEMS, VECTORS = make_items(COUNT), make_vectors(COUNT)
BIAS = np.linspace(-1, 1, COUNT, dtype=np.float32)


def built(
    items: list[Item], vectors: F32, bias: F32, space: Space, *, rows: int = limits.GROUP_ROWS
) -> tuple[Manifest, dict[str, bytes]]:
    parts = list(split(items, Codes.quantize(vectors), bias, rows=rows))
    document = Manifest(
        catalogue="test",
        title="Test",
        scenario=Scenario.FINANCE,
        version=0,
        created="2026-01-15T12:00:00Z",
        space=space.digest,
        encoder=space.encoder,
        notice="",
        licence="",
        items=len(items),
        shards=tuple(part for part, _ in parts),
    )
    for part, blob in parts:
        part.verify(blob)
    return manifest.decode(manifest.encode(document)), {part.name: blob for part, blob in parts}


@pytest.mark.parametrize("rows", [1, 3, 10, 99])
def test_shards_and_memory_give_the_same_catalogue(rows: int) -> None:
    document, shards = built(ITEMS, VECTORS, BIAS, SPACE, rows=rows)
    assert len(document.groups()) == -(-COUNT // rows)

    loaded = Catalogue.from_parts(document, shards, SPACE)
    memory = Catalogue.in_memory(ITEMS, VECTORS, BIAS, SPACE, scenario=Scenario.FINANCE)

    assert np.array_equal(loaded.codes, memory.codes)
    assert np.array_equal(loaded.inverse_norms, memory.inverse_norms)
    assert np.array_equal(loaded.bias, memory.bias)
    assert list(loaded.records) == list(memory.records) == ITEMS
    assert loaded.records.ids == memory.records.ids
    assert loaded.records.row("i7") == memory.records.row("i7") == 7
    assert (len(loaded), loaded.dimension) == (len(memory), memory.dimension) == (COUNT, DIMENSION)
    assert memory.manifest.scenario == loaded.manifest.scenario == Scenario.FINANCE
    assert memory.manifest.space == loaded.manifest.space


def test_unit_rows_are_those_of_the_codes() -> None:
    memory = Catalogue.in_memory(ITEMS, VECTORS, BIAS, SPACE)

    assert np.allclose(np.linalg.norm(memory.unit(), axis=1), 1.0, atol=1e-6)
    assert np.allclose(memory.unit(), VECTORS, atol=1 / 127)
    assert np.array_equal(memory.unit([3, 1]), memory.unit()[[3, 1]])
    assert memory.unit([]).shape == (0, DIMENSION)


def test_an_empty_catalogue_is_a_catalogue() -> None:
    nothing = np.zeros((0, DIMENSION), dtype=np.float32)
    document, shards = built([], nothing, BIAS[:0], SPACE)
    loaded = Catalogue.from_parts(document, shards, SPACE)
    assert (len(loaded), loaded.dimension, shards) == (0, DIMENSION, {})
    assert len(Catalogue.in_memory([], nothing, BIAS[:0], SPACE)) == 0


def test_a_build_is_deterministic() -> None:
    assert built(ITEMS, VECTORS, BIAS, SPACE, rows=4) == built(ITEMS, VECTORS, BIAS, SPACE, rows=4)


def test_a_changed_item_changes_one_shard() -> None:
    _, before = built(ITEMS, VECTORS, BIAS, SPACE, rows=4)
    edited = [replace(item, title="New") if item.id == "i5" else item for item in ITEMS]
    _, after = built(edited, VECTORS, BIAS, SPACE, rows=4)
    assert [name for name in before if before[name] != after[name]] == ["records-00001"]


def test_large_records_make_small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SHARD", catalogue._MARGIN + 2_000)
    document, shards = built(ITEMS, VECTORS, BIAS, SPACE)
    assert len(document.groups()) > 1
    assert all(len(blob) <= limits.SHARD for blob in shards.values())
    assert list(Catalogue.from_parts(document, shards, SPACE).records) == ITEMS


def damaged(shards: Mapping[str, bytes], **changes: bytes) -> dict[str, bytes]:
    return dict(shards) | {name.replace("_", "-"): blob for name, blob in changes.items()}


def test_parts_that_do_not_fit_are_refused() -> None:
    document, shards = built(ITEMS, VECTORS, BIAS, SPACE, rows=5)

    def refused(
        given: Manifest, parts: Mapping[str, bytes], words: str, space: Space = SPACE
    ) -> None:
        with pytest.raises(FormatError, match=words):
            Catalogue.from_parts(given, parts, space)

    refused(document, shards, "another space", make_space(3))
    refused(replace(document, encoder="ab" * 32), shards, "another space")
    refused(document, {k: v for k, v in shards.items() if k != "bias-00001"}, "is missing")
    refused(document, damaged(shards, codes_00000=shards["codes-00000"][:-1]), "another size")
    refused(replace(document, items=9), shards, "do not agree")
    refused(replace(document, shards=document.shards[1:]), shards, "not numbered")

    narrow = tensors.encode(Codes.quantize(make_vectors(5, 3)))
    wrong = {
        "codes-00000": narrow,
        "bias-00000": tensors.encode_f32(BIAS[:5, None]),
        "records-00000": records.encode(ITEMS[:4]),
    }
    for name, blob in wrong.items():
        fitted = tuple(
            replace(part, size=len(blob)) if part.name == name else part for part in document.shards
        )
        refused(replace(document, shards=fitted), shards | {name: blob}, "has shape")


def test_memory_checks_as_well() -> None:
    for vectors, bias, words in (
        (VECTORS[:9], BIAS, "do not fit"),
        (VECTORS[:, :3], BIAS, "do not fit"),
        (VECTORS, BIAS[:9], "do not fit"),
        (VECTORS, np.full(COUNT, np.nan, dtype=np.float32), "bias is not finite"),
        (np.full_like(VECTORS, np.inf), BIAS, "not finite"),
    ):
        with pytest.raises(FormatError, match=words):
            Catalogue.in_memory(ITEMS, vectors, bias, SPACE)


def test_split_checks_as_well() -> None:
    codes = Codes.quantize(VECTORS)
    for items, bias, rows, words in (
        (ITEMS[:9], BIAS, 5, "9 items"),
        (ITEMS, BIAS[:9], 5, "bias"),
        (ITEMS, BIAS, 0, "bias"),
        ([*ITEMS[:9], ITEMS[0]], BIAS, 5, "same id"),
        ([*ITEMS[:9], Item(id="x", title="")], BIAS, 5, "title"),
    ):
        with pytest.raises(FormatError, match=words):
            list(split(items, codes, bias, rows=rows))


def test_the_entry_of_a_space_has_no_rows() -> None:
    described = entry("space", b"abc")
    assert (described.kind, described.rows, described.size) == ("space", 0, 3)
    described.verify(b"abc")


def test_a_large_catalogue_loads_without_parsing_its_items() -> None:
    count = 100_000
    space = make_space(64)
    vectors = make_vectors(count, 64)
    names = [f"i{n}" for n in range(count)]
    row = records.row_bytes(Item(id="x", title="Title", description="words " * 60))
    codes, bias = Codes.quantize(vectors), np.zeros(count, dtype=np.float32)
    shards: dict[str, bytes] = {}
    entries = []
    for group, at in enumerate(range(0, count, limits.GROUP_ROWS)):
        stop = min(count, at + limits.GROUP_ROWS)
        for kind, blob in (
            ("bias", tensors.encode_f32(bias[at:stop])),
            ("codes", tensors.encode(codes.rows(at, stop))),
            ("records", records.join(names[at:stop], [row] * (stop - at))),
        ):
            shards[f"{kind}-{group:05d}"] = blob
            entries.append(entry(f"{kind}-{group:05d}", blob, rows=stop - at))
    document, _ = built([], vectors[:0], bias[:0], space)
    document = replace(
        document, items=count, shards=tuple(sorted(entries, key=lambda each: each.name))
    )

    start = time.process_time()
    loaded = Catalogue.from_parts(document, shards, space)
    title = loaded.records[loaded.records.row("i99999")].title
    spent = time.process_time() - start

    assert title == "Title"
    assert spent < 1.0  # 0.05 s measured; parsing every item takes more than a second
