"""Further vector spaces, end to end: a build in a folder, loaded, ranked, explained."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ondevice.domain import Item, Scenario
from ondevice.errors import FormatError
from ondevice.formats import catalogue as shards
from ondevice.formats import manifest
from ondevice.formats.catalogue import Catalogue
from ondevice.formats.manifest import Manifest, VectorSpace
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32, Codes
from ondevice.privacy.decoder import decode
from ondevice.privacy.stream import StreamParameters
from ondevice.profile.base import FromRelease
from ondevice.profile.explain import Past
from ondevice.profile.owner_view import Owner
from ondevice.profile.release import profile
from ondevice.profile.shared_view import Shared
from ondevice.ranking.fusion import fused

D, K, N = 8, 3, 60
PARAMETERS = StreamParameters.for_budget(4.0, 1e-6, D, half_life=8)


def unit(rows: np.ndarray) -> F32:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def make_space() -> Space:
    mean = np.zeros(D, dtype=np.float32)
    mean[0] = 0.5  # people here like what points that way
    return Space(
        name="test",
        encoder="0" * 64,
        centre=np.zeros(D, dtype=np.float32),
        projection=np.eye(D, dtype=np.float32),
        half_life=8,
        temperature=10.0,
        mean=mean,
        between=np.eye(D, dtype=np.float32) * np.float32(0.05),
        within=np.eye(D, dtype=np.float32) * np.float32(0.05),
    )


def pictures() -> tuple[list[Item], F32, F32]:
    """A third is red and its texts say so; a third is blue; a third says nothing of its colour.

    Of the silent ones the first half looks red, the others blue; the last has no picture.
    """
    generator = np.random.default_rng(3)
    text = 0.3 * generator.standard_normal((N, D))
    text[: N // 3, 0] += 1.0
    text[N // 3 : 2 * N // 3, 0] -= 1.0
    text[2 * N // 3 :, 0] = 0.0
    look = 0.1 * generator.standard_normal((N, K))
    look[: N // 3, 0] += 1.0
    look[N // 3 : 2 * N // 3, 1] += 1.0
    look[2 * N // 3 : 5 * N // 6, 0] += 1.0
    look[5 * N // 6 :, 1] += 1.0
    seen = unit(look)
    seen[-1] = 0.0
    return [Item(id=f"p{n}", title=f"Picture {n}") for n in range(N)], unit(text), seen


def build(folder: Path, space: Space, *, weight: float = 0.8, rows: int = 25) -> Manifest:
    """Write a build as a publisher does: shards, and `build.json`."""
    items, text, look = pictures()
    parts = list(
        shards.split(
            items,
            Codes.quantize(text),
            np.zeros(N, dtype=np.float32),
            rows=rows,
            named={"image": Codes.quantize(look)},
        )
    )
    built = Manifest(
        catalogue="pictures",
        title="Pictures",
        scenario=Scenario.CONTENT,
        version=0,
        created="2026-01-15T12:00:00Z",
        space=space.digest,
        encoder=space.encoder,
        notice="",
        licence="",
        items=N,
        shards=tuple(sorted((entry for entry, _ in parts), key=lambda entry: entry.name)),
        vectors=(VectorSpace(name="image", dimension=K, weight=weight),),
    )
    folder.mkdir()
    for entry, blob in parts:
        (folder / entry.name).write_bytes(blob)
    (folder / manifest.BUILD_FILE).write_bytes(manifest.encode(built))
    return built


def read(folder: Path) -> tuple[Manifest, Mapping[str, bytes]]:
    found = manifest.decode((folder / manifest.BUILD_FILE).read_bytes())
    blobs = {entry.name: (folder / entry.name).read_bytes() for entry in found.shards}
    for entry in found.shards:
        entry.verify(blobs[entry.name])
    return found, blobs


@pytest.fixture
def loaded(tmp_path: Path) -> Catalogue:
    space = make_space()
    build(tmp_path / "build", space)
    found, blobs = read(tmp_path / "build")
    return Catalogue.from_parts(found, blobs, space)


def test_what_is_built_is_what_is_loaded(loaded: Catalogue) -> None:
    items, text, look = pictures()
    (image,) = loaded.named
    memory = Catalogue.in_memory(
        items, text, np.zeros(N, dtype=np.float32), loaded.space, named={"image": (0.8, look)}
    )

    assert (image.name, image.weight, image.codes.shape) == ("image", 0.8, (N, K))
    assert len([e for e in loaded.manifest.shards if e.kind == "vectors.image"]) == 3
    assert np.array_equal(image.codes, memory.named[0].codes)
    assert np.array_equal(image.inverse_norms, memory.named[0].inverse_norms)
    assert image.inverse_norms[-1] == 0.0


def owner_of(catalogue: Catalogue) -> Owner:
    nobody = profile(decode(PARAMETERS, []), catalogue.space)
    base = FromRelease(profile=nobody, catalogue=catalogue, past=Past.of(nobody, []))
    return Owner(base=base, catalogue=catalogue)


def test_pictures_lift_what_looks_like_the_best(loaded: Catalogue) -> None:
    silent_red, silent_blue = range(40, 50), range(50, 59)
    plain = owner_of(replace(loaded, named=())).values
    both = owner_of(loaded).values

    assert both[silent_red].mean() - plain[silent_red].mean() > 0.3
    assert both[silent_blue].mean() - plain[silent_blue].mean() < -0.3
    assert both[59] == plain[59]  # it has no picture
    listed = [one.row for one in owner_of(loaded).listing(limit=30).page]
    assert sum(row in silent_red for row in listed) >= 9
    assert not set(listed) & set(silent_blue)


@pytest.mark.parametrize("view", ["owner", "shared"])
def test_both_views_say_so_and_the_parts_add_up(loaded: Catalogue, view: str) -> None:
    owner = owner_of(loaded)
    released = profile(decode(PARAMETERS, []), loaded.space)
    asked = owner if view == "owner" else Shared(released=released, catalogue=loaded)
    for row in (0, 45, 59):
        parts = asked.explain(row)
        assert sum(part.share for part in parts) == pytest.approx(asked.values[row], abs=1e-6)
        told = [part.label for part in parts if part.kind == "feature"]
        assert told == (["its image fits the rest"] if row < 59 else [])


def test_a_manifest_without_further_spaces_keeps_its_bytes(tmp_path: Path) -> None:
    built = build(tmp_path / "b", make_space())
    kept = tuple(e for e in built.shards if not e.kind.startswith("vectors."))
    bare = manifest.encode(replace(built, vectors=(), shards=kept))

    assert b"vectors" not in bare
    assert manifest.decode(bare).vectors == ()
    assert manifest.decode(manifest.encode(built)) == built


def test_bad_manifests_are_refused(tmp_path: Path) -> None:
    built = build(tmp_path / "b", make_space())
    image = built.vectors[0]
    shard = next(e for e in built.shards if e.kind == "vectors.image")
    for wrong in (
        replace(built, vectors=()),
        replace(built, vectors=(image, image)),
        replace(built, vectors=(replace(image, weight=1.5),)),
        replace(built, vectors=(replace(image, dimension=0),)),
        replace(built, vectors=(replace(image, name="Image"),)),
        replace(built, vectors=(replace(image, name="sound"),)),
        replace(built, vectors=(image, replace(image, name="sound"))),
        replace(built, shards=tuple(e for e in built.shards if e != shard)),
    ):
        with pytest.raises(FormatError):
            manifest.encode(wrong)


def test_vectors_of_another_size_are_refused(tmp_path: Path) -> None:
    space = make_space()
    build(tmp_path / "b", space)
    found, blobs = read(tmp_path / "b")
    wider = replace(found, vectors=(VectorSpace(name="image", dimension=K + 1, weight=0.5),))
    with pytest.raises(FormatError, match="shape"):
        Catalogue.from_parts(wider, blobs, space)
    with pytest.raises(FormatError, match="missing"):
        Catalogue.from_parts(
            found, {k: v for k, v in blobs.items() if not k.startswith("vectors")}, space
        )
    items, text, look = pictures()
    with pytest.raises(FormatError, match="vectors of image"):
        Catalogue.in_memory(
            items, text, np.zeros(N, dtype=np.float32), space, named={"image": (0.5, look[:-1])}
        )
    with pytest.raises(FormatError, match="one vector"):
        list(
            shards.split(
                items,
                Codes.quantize(text),
                np.zeros(N, dtype=np.float32),
                named={"image": Codes.quantize(look[:-1])},
            )
        )


def test_fusion_of_nothing_is_nothing() -> None:
    values = np.arange(5.0)
    codes = np.ones((5, 2), dtype=np.int8)
    norms = np.full(5, 0.7, dtype=np.float32)
    assert not fused(values, codes, norms, weight=0.0, spread=1.0).any()
    assert not fused(values, codes, norms, weight=1.0, spread=0.0).any()
    assert not fused(values, codes, np.zeros(5, np.float32), weight=1.0, spread=1.0).any()
    assert not fused(values, codes, norms, weight=1.0, spread=1.0).any()  # all look alike
