"""Spaces: a folder and a shard with the same content and one digest."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ondevice.errors import FormatError
from ondevice.formats import canonical, limits, space
from ondevice.formats.space import DecoderNetwork, QualityRow, Space
from ondevice.formats.tensors import F32, encode_f32

WIDTH, DIMENSION = 5, 3


def array(*shape: int) -> F32:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


PLAIN = Space(
    name="base",
    encoder="ab" * 32,
    centre=array(WIDTH),
    projection=array(DIMENSION, WIDTH),
    half_life=64,
    temperature=8.0,
    mean=array(DIMENSION),
    between=array(DIMENSION, DIMENSION),
    within=array(DIMENSION, DIMENSION),
)
RICH = replace(
    PLAIN,
    decoder=DecoderNetwork(weights={"w1": array(4, 2), "b1": array(4)}),
    quality=(QualityRow(epsilon=4.0, behaviours=20, ndcg=0.15),),
)
WHOLE = replace(
    RICH,
    interests={"query": array(DIMENSION, DIMENSION), "position": array(7)},
    lexical={"weights": array(16, DIMENSION)},
)


@pytest.mark.parametrize("given", [PLAIN, RICH, WHOLE], ids=["plain", "rich", "whole"])
def test_both_forms_hold_the_whole_space(given: Space, tmp_path: Path) -> None:
    space.write(given, tmp_path / "new" / "folder")
    for back in (space.read(tmp_path / "new" / "folder"), space.decode(space.encode(given))):
        assert back.digest == given.digest
        assert (back.name, back.encoder, back.half_life) == ("base", "ab" * 32, 64)
        assert (back.temperature, back.quality) == (8.0, given.quality)
        assert np.array_equal(back.projection, given.projection)
        assert back.dimension == DIMENSION
        assert (back.decoder is None) == (given.decoder is None)
    if given.decoder is not None:
        assert back.decoder is not None
        assert np.array_equal(back.decoder.weights["w1"], given.decoder.weights["w1"])
    for name in ("interests", "lexical"):
        there, expected = getattr(back, name), getattr(given, name)
        assert (there is None) == (expected is None)
        assert sorted(there or ()) == sorted(expected or ())
        for key in expected or ():
            assert np.array_equal(there[key], expected[key])


def test_a_group_without_arrays_is_still_a_group(tmp_path: Path) -> None:
    for given in (replace(PLAIN, interests={}), replace(PLAIN, lexical={})):
        space.write(given, tmp_path)
        for back in (space.read(tmp_path), space.decode(space.encode(given))):
            assert back.digest == given.digest != PLAIN.digest
            assert (back.interests, back.lexical) == (given.interests, given.lexical)


def test_a_space_without_the_new_groups_does_not_mention_them() -> None:
    assert b"interests" not in space.encode(RICH)
    assert b"lexical" not in space.encode(RICH)


def test_the_same_space_is_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        space.write(RICH, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted(
        [f"{n}.f32" for n in ("between", "centre", "mean", "projection", "within")]
        + ["decoder-b1.f32", "decoder-w1.f32", "space.json"]
    )
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_digest_knows_every_part() -> None:
    other = array(DIMENSION, DIMENSION) + np.float32(1)
    changed = [
        PLAIN,
        RICH,
        replace(PLAIN, name="other"),
        replace(PLAIN, encoder="cd" * 32),
        replace(PLAIN, half_life=65),
        replace(PLAIN, temperature=np.nextafter(8.0, 9.0)),
        replace(PLAIN, centre=PLAIN.centre + np.float32(1)),
        replace(PLAIN, projection=PLAIN.projection * np.float32(2)),
        replace(PLAIN, mean=PLAIN.mean + np.float32(1)),
        replace(PLAIN, between=other),
        replace(PLAIN, within=other),
        replace(PLAIN, quality=RICH.quality),
        replace(PLAIN, quality=(QualityRow(epsilon=4.0, behaviours=21, ndcg=0.15),)),
        replace(PLAIN, quality=(QualityRow(epsilon=0.15, behaviours=20, ndcg=4.0),)),
        replace(PLAIN, decoder=DecoderNetwork(weights={})),
        replace(PLAIN, decoder=DecoderNetwork(weights={"w1": array(4, 2), "b2": array(4)})),
        replace(PLAIN, decoder=DecoderNetwork(weights={"w1": array(2, 4), "b1": array(4)})),
        WHOLE,
        replace(WHOLE, lexical=None),
        replace(WHOLE, interests=None),
        replace(PLAIN, interests={}),
        replace(PLAIN, lexical={}),
        replace(PLAIN, lexical={"w1": array(4, 2), "b1": array(4)}),
        replace(PLAIN, interests={"w1": array(4, 2), "b1": array(4)}),
    ]
    assert len({each.digest for each in changed}) == len(changed)


def test_whole_numbers_and_floats_have_one_digest() -> None:
    assert replace(PLAIN, temperature=8).digest == PLAIN.digest
    assert space.decode(space.encode(replace(PLAIN, temperature=8))).digest == PLAIN.digest


def test_projection_by_hand() -> None:
    basis = replace(
        PLAIN,
        centre=np.array([1, 0, 0, 0, 0], dtype=np.float32),
        projection=np.eye(DIMENSION, WIDTH, dtype=np.float32),
    )
    vectors = np.array(
        [[4, 4, 0, 0, 9], [0, 0, 0, 0, 0], [1, 0, 0, 5, 5], [1, 2, 0, 0, 0]], dtype=np.float32
    )

    out = basis.project(vectors)

    assert out.dtype == np.float32
    expected = np.array([[0.6, 0.8, 0], [0, 0, 0], [0, 0, 0], [0, 1, 0]])
    assert np.allclose(out, expected, atol=1e-6)
    assert basis.project(vectors[:0]).shape == (0, DIMENSION)
    residual = np.array([[0, -1, 0], [0, 2, 0], [0, 0, 0], [2, 0, 0]], dtype=np.float32)
    moved = basis.project(vectors, residual)
    assert np.allclose(moved[0], np.array([3, 3, 0]) / np.sqrt(18), atol=1e-6)
    assert np.allclose(moved[1:3], [[0, 1, 0], [0, 0, 0]])
    assert np.allclose(moved[3], np.array([2, 2, 0]) / np.sqrt(8), atol=1e-6)


Damage = Callable[[Path], object]


def edit(**changes: object) -> Damage:
    def change(folder: Path) -> None:
        table = json.loads((folder / "space.json").read_bytes())
        table.update(changes)
        (folder / "space.json").write_bytes(canonical.dump(table))

    return change


def put(name: str, blob: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(blob)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "space.json").unlink(), "cannot read"),
        (lambda folder: (folder / "mean.f32").unlink(), "cannot read"),
        (put("space.json", b"{}"), "missing"),
        (put("space.json", b" " * (limits.SPACE_HEAD + 1)), "larger than"),
        (put("mean.f32", encode_f32(array(DIMENSION + 1))), "mean has shape"),
        (put("mean.f32", encode_f32(array(DIMENSION, 1))), "mean has shape"),
        (put("centre.f32", encode_f32(array(WIDTH + 1))), "projection has shape"),
        (put("projection.f32", encode_f32(array(WIDTH))), "has shape"),
        (put("within.f32", b"ODF1"), "header"),
        (edit(format="ondevice-space/2"), "format"),
        (edit(name=""), "name"),
        (edit(encoder="AB" * 32), "encoder"),
        (edit(half_life=0), "half_life"),
        (edit(half_life=64.0), "half_life"),
        (edit(temperature=0), "temperature"),
        (edit(colour="red"), "unknown key"),
        (edit(decoder={}), "list"),
        (edit(decoder=["W"]), "name of an array"),
        (edit(decoder=["../x"]), "name of an array"),
        (edit(decoder=[1]), "name of an array"),
        (edit(decoder=["b", "a"]), "in order"),
        (edit(decoder=["a", "a"]), "in order"),
        (edit(decoder=["a"]), "cannot read"),
        (edit(interests=None), "list"),
        (edit(interests=["a"]), "cannot read"),
        (edit(interests=["b", "a"]), "in order"),
        (edit(lexical=["W"]), "name of an array"),
        (edit(lexical=[f"a{n:02d}" for n in range(limits.TENSORS + 1)]), "list of at most 64"),
        (edit(quality=[[]]), "not an object"),
        (edit(quality=[{"epsilon": 0, "behaviours": 1, "ndcg": 0.1}]), "epsilon"),
        (edit(quality=[{"epsilon": 1, "behaviours": -1, "ndcg": 0.1}]), "behaviours"),
        (edit(quality=[{"epsilon": 1, "behaviours": 1, "ndcg": 1.1}]), "ndcg"),
        (edit(quality=None), "quality"),
    ],
)
def test_a_broken_folder_is_refused(damage: Damage, words: str, tmp_path: Path) -> None:
    space.write(PLAIN, tmp_path)
    damage(tmp_path)
    with pytest.raises(FormatError, match=words):
        space.read(tmp_path)


def test_a_space_without_dimensions_is_none(tmp_path: Path) -> None:
    nothing = replace(
        PLAIN,
        projection=array(1, WIDTH)[:0],
        mean=array(1)[:0],
        between=array(1, 1)[:0, :0],
        within=array(1, 1)[:0, :0],
    )
    with pytest.raises(FormatError, match="has shape"):
        space.encode(nothing)
    with pytest.raises(FormatError, match="has shape"):
        space.write(nothing, tmp_path / "x")
    assert not (tmp_path / "x").exists()


BLOB = space.encode(PLAIN)
HEAD_AT = 12


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b"", "takes 8"),
        (b"ODS1", "takes 8"),
        (b"ODS2" + BLOB[4:], "starts with"),
        (b"ODS1" + struct.pack("<I", 0) + BLOB[8:], "starts with"),
        (b"ODS1" + struct.pack("<I", 0xFFFFFFFF) + BLOB[8:], "starts with"),
        (b"ODS1" + struct.pack("<I", 7) + BLOB[8:], "cut short"),
        (b"ODS1" + struct.pack("<I", 5) + BLOB[8:], "behind its end"),
        (b"ODS1" + struct.pack("<II", 1, 0xFFFFFFFF), "cut short"),
        (b"ODS1" + struct.pack("<II", 1, 0), "not valid JSON"),
        (BLOB[:-1], "cut short"),
        (BLOB + b"\x00", "behind its end"),
        (b"ODS1" + struct.pack("<I", 7) + BLOB[8:] + struct.pack("<I", 0), "names 5 arrays"),
    ],
)
def test_a_broken_shard_is_refused(blob: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        space.decode(blob)
    assert space.decode(memoryview(bytearray(BLOB))).digest == PLAIN.digest


def test_more_bytes_than_a_shard_are_refused_first() -> None:
    with pytest.raises(FormatError, match="to 67108864 bytes"):
        space.decode(bytes(limits.SHARD + 1))
