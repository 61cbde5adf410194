"""Builds: the same input gives the same bytes, whatever happened in between."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ondevice.domain import Scenario
from ondevice.errors import ConfigError, FormatError
from ondevice.formats import space as spaces
from ondevice.formats.manifest import Manifest
from ondevice.paths import bundled
from server_tools.embed import command, local
from tests.publishing import DIMENSION, WordEncoder, small_space, snapshot, some_items

DETAILS = local.Details(catalogue="rooms", scenario=Scenario.ECOMMERCE, title="Things for rooms")


def build(out: Path, count: int = 12, encoder: WordEncoder | None = None) -> Manifest:
    return local.build(
        some_items(count),
        encoder=encoder or WordEncoder(),
        into=small_space(),
        details=DETAILS,
        out=out,
    )


def test_a_build_holds_the_items_and_their_vectors(tmp_path: Path) -> None:
    built = build(tmp_path / "out")
    catalogue = local.load(tmp_path / "out", lambda: small_space("never used"))
    vectors = small_space().project(WordEncoder().encode([item.text for item in some_items()]))

    assert built == catalogue.manifest
    assert (built.version, built.items) == (0, 12)
    assert [catalogue.records[row] for row in range(12)] == some_items()
    cosines = (catalogue.unit() * vectors).sum(axis=1)
    assert cosines.min() > 0.999
    assert catalogue.dimension == DIMENSION
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    build(tmp_path / "a")
    build(tmp_path / "b")
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    build(tmp_path / "b")  # over an earlier one
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


def test_a_changed_item_changes_its_own_shards_alone(tmp_path: Path) -> None:
    build(tmp_path / "a")
    local.build(
        some_items(changed=3),
        encoder=WordEncoder(),
        into=small_space(),
        details=DETAILS,
        out=tmp_path / "b",
    )
    a, b = snapshot(tmp_path / "a"), snapshot(tmp_path / "b")
    assert sorted(name for name in a if a[name] != b[name]) == [
        "build.json",
        "codes-00000",
        "records-00000",
    ]


class Stopped(WordEncoder):
    """Is stopped while it encodes text number `at`."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def encode(self, texts: list[str]) -> np.ndarray:  # type: ignore[override]
        if self.encoded + len(texts) >= self.at:
            raise KeyboardInterrupt
        return super().encode(texts)


def test_a_stopped_build_goes_on_where_it_was(tmp_path: Path) -> None:
    count = 3 * local.CHUNK + 5
    whole = WordEncoder()
    build(tmp_path / "whole", count, whole)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "out", count, Stopped(at=2 * local.CHUNK + 1))
    assert not (tmp_path / "out").exists()

    rest = WordEncoder()
    build(tmp_path / "out", count, rest)
    assert whole.encoded == count
    assert rest.encoded == count - 2 * local.CHUNK
    assert snapshot(tmp_path / "whole") == snapshot(tmp_path / "out")
    assert not (tmp_path / "out.work").exists()


def test_checkpoints_of_other_texts_or_half_written_ones_are_not_used(tmp_path: Path) -> None:
    count = 2 * local.CHUNK
    build(tmp_path / "whole", count)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "out", count, Stopped(at=count))
    (kept,) = (tmp_path / "out.work").iterdir()
    kept.write_bytes(kept.read_bytes()[:-7])

    encoder = WordEncoder()
    build(tmp_path / "out", count, encoder)
    assert encoder.encoded == count
    assert snapshot(tmp_path / "whole") == snapshot(tmp_path / "out")


def test_popularity_is_a_small_term_that_never_drowns_taste() -> None:
    items = [replace(item, popularity=float(10**i)) for i, item in enumerate(some_items(6))]
    bias = local.popularity_bias([*items, replace(items[0], id="x", popularity=None)], 8.0)

    assert bias.dtype == np.float32
    assert (np.diff(bias[:6]) > 0).all()
    assert bias[6] == 0.0
    assert np.abs(bias).max() <= 8.0 * local.POPULARITY * local.POPULARITY_DEVIATIONS + 1e-6
    assert not local.popularity_bias([replace(i, popularity=None) for i in items], 8.0).any()
    same = [replace(item, popularity=5.0) for item in items]
    assert np.abs(local.popularity_bias(same, 8.0)).max() <= 0.08 + 1e-6


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no items"):
        build(tmp_path / "out", 0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="is not a build"):
        build(tmp_path / "mine")
    assert snapshot(tmp_path) == {"mine/letter.txt": b"dear"}
    foreign = replace(small_space(), encoder="0" * 64)
    with pytest.raises(ConfigError, match="another encoder"):
        local.build(
            some_items(), encoder=WordEncoder(), into=foreign, details=DETAILS, out=tmp_path / "o"
        )
    with pytest.raises(FormatError):
        local.build(
            some_items(),
            encoder=WordEncoder(),
            into=small_space(),
            details=replace(DETAILS, catalogue="No Slug"),
            out=tmp_path / "o",
        )


def test_a_damaged_build_is_noticed(tmp_path: Path) -> None:
    build(tmp_path / "out")
    path = tmp_path / "out" / "codes-00000"
    raw = bytearray(path.read_bytes())
    raw[40] ^= 1
    path.write_bytes(raw)
    built = local.read_manifest(tmp_path / "out")
    (codes,) = (entry for entry in built.shards if entry.kind == "codes")
    with pytest.raises(FormatError, match="not the one that the manifest names"):
        local.shard(tmp_path / "out", codes)
    path.unlink()
    with pytest.raises(FormatError, match="cannot read"):
        local.shard(tmp_path / "out", codes)
    with pytest.raises(ConfigError, match="is not a build"):
        local.read_manifest(tmp_path)


needs_encoder = pytest.mark.skipif(
    not (Path(__file__).parents[2] / "models/encoder/model.onnx").is_file(),
    reason="the encoder is not built yet",
)


@needs_encoder
def test_build_and_preview_with_the_shipped_encoder(tmp_path: Path) -> None:
    """The commands, on real text: what is near in meaning comes first."""
    from ondevice.encoder.session import Encoder

    digest = Encoder.load(bundled("encoder")).digest
    basis, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(384, 64)))
    into = spaces.Space(
        name="test",
        encoder=digest,
        centre=np.zeros(384, dtype=np.float32),
        projection=np.ascontiguousarray(basis.T, dtype=np.float32),
        half_life=64,
        temperature=1.0,
        mean=np.zeros(64, dtype=np.float32),
        between=np.eye(64, dtype=np.float32),
        within=np.eye(64, dtype=np.float32),
    )
    spaces.write(into, tmp_path / "space")
    source = tmp_path / "s.csv"
    source.write_text(
        "id,title,text\n"
        "a,Cast-iron pan,A heavy pan for frying onions and baking bread in the oven\n"
        "b,Index fund,Invests in the shares of many large companies at a low fee\n"
        "c,Trail shoes,Running shoes with a firm grip for muddy forest paths\n"
    )
    arguments = [
        "--source", str(source), "--id", "mixed", "--scenario", "e-commerce",
        "--space", str(tmp_path / "space"), "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    done = CliRunner().invoke(command.build, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "3 items" in done.stderr
    assert done.stdout == ""

    for text, title in (("cooking dinner", "Cast-iron pan"), ("stock market", "Index fund")):
        shown = CliRunner().invoke(
            command.preview, [str(tmp_path / "out"), text, "-n", "1"], catch_exceptions=False
        )
        assert title in shown.stdout


def test_building_loads_no_heavy_framework() -> None:
    code = (
        "import sys, server_tools.embed.command, server_tools.embed.local, server_tools.sources\n"
        "print(sorted({'torch', 'transformers', 'textual'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
