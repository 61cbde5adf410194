"""From a tiny student to the folder a device loads; and measuring encoders."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from ondevice.encoder.session import MODEL, NOTE, TOKENIZER, Encoder
from ondevice.errors import FormatError, NotReadyError, OnDeviceError
from server_tools import recipe as recipes
from server_tools import results
from server_tools.distill import checkpoint, prepare, sts, student, vocabulary
from server_tools.distill.command import distill
from server_tools.evaluate import encoder as measuring
from server_tools.export import card, graph, lean
from server_tools.export.command import quantize
from tests.server import small_teacher
from tests.server.small_teacher import WORDS, Small

TEXTS = ["a lamp", "the violin in the meadow", "kettle " * 60, "unheard zyx, of"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_teacher.make(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def work(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("work")
    CliRunner().invoke(distill, [str(small.recipe()), *small.flags(place)], catch_exceptions=False)
    return place


@pytest.fixture(scope="module")
def made(small: Small, work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    told = call(small, work, out)
    assert told["digest"] == Encoder.load(out).digest
    return out


def call(small: Small, work: Path, out: Path, **changes: Any) -> dict[str, Any]:
    flags = [*small.flags(work), "--out", str(out)]
    result = CliRunner().invoke(
        quantize, [str(small.recipe(**changes)), *flags], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def floats(small: Small, work: Path, texts: list[str]) -> np.ndarray:
    recipe = recipes.read(small.recipe())
    ready = prepare.prepare(recipe, teacher=small.teacher, data=small.data, work=work)
    model = student.cut(student.load_teacher(small.teacher), recipe.student, ready.kept)
    model.load_state_dict(checkpoint.load(work, recipe)[1]["model"])
    return np.asarray(student.embed_texts(model.eval(), ready.tokenizer, texts))


def test_the_folder_holds_what_a_device_needs_and_says_where_it_is_from(made: Path) -> None:
    names = {path.name for path in made.iterdir()}

    assert names == {MODEL, TOKENIZER, NOTE, "recipe.toml", "results.json", "CARD.md"}
    found = results.read(made / results.NAME)
    assert found["digest"] == json.loads((made / NOTE).read_text())["digest"]
    assert found["training"]["views"] >= 400
    assert set(found["inputs"]) >= {"texts/short", "texts/long", "teacher/model.safetensors"}
    words = (made / "CARD.md").read_text(encoding="utf-8")
    assert found["digest"] in words
    assert "| Short lines | 33.3% | CC0 |" in words
    assert "| long | 66.7% | not named |" in words


def test_the_int8_encoder_follows_the_float_student(small: Small, work: Path, made: Path) -> None:
    cosines = (Encoder.load(made).encode(TEXTS) * floats(small, work, TEXTS)).sum(1)

    assert cosines.min() > 0.95


def test_a_text_has_the_same_vector_in_any_company(made: Path) -> None:
    encoder = Encoder.load(made)

    among = encoder.encode(TEXTS)
    assert np.array_equal(among, np.concatenate([encoder.encode([text]) for text in TEXTS]))
    assert np.allclose(np.linalg.norm(among, axis=1), 1.0, atol=1e-5)


def test_the_graph_is_int8_where_the_bytes_are(made: Path) -> None:
    model = onnx.load(made / MODEL)
    types = {each.name: each.data_type for each in model.graph.initializer}
    large = [each for each in model.graph.initializer if int(np.prod(each.dims)) > 32 * 32 + 1]

    assert types["words.codes"] == onnx.TensorProto.INT8
    assert [each.name for each in model.graph.input] == ["input_ids"]
    assert [each.name for each in model.graph.output] == [lean.VECTOR]
    assert sum(node.op_type == "MatMulInteger" for node in model.graph.node) == 8
    floats_left = [each.name for each in large if each.data_type == onnx.TensorProto.FLOAT]
    assert all("position" in name for name in floats_left), floats_left


def test_weights_keep_to_seven_bits(made: Path) -> None:
    model = onnx.load(made / MODEL)
    tables = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    weights = [
        tables[node.input[1]] for node in model.graph.node if node.op_type == "MatMulInteger"
    ]

    assert len(weights) == 8
    assert all(np.abs(each.astype(int)).max() <= 64 for each in weights)


def test_the_same_student_gives_the_same_bytes(
    small: Small, work: Path, made: Path, tmp_path: Path
) -> None:
    told = call(small, work, tmp_path)

    assert told["digest"] == results.read(made / results.NAME)["digest"]


def test_a_model_too_far_from_its_student_replaces_nothing(
    small: Small, work: Path, tmp_path: Path
) -> None:
    with pytest.raises(OnDeviceError, match="mean cosine"):
        call(small, work, tmp_path, parity_mean=1.1)
    assert not (tmp_path / MODEL).exists()


def test_a_graph_of_another_shape_is_refused() -> None:
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))

    with pytest.raises(FormatError, match="word embedding"):
        graph.shrink_words(empty, bits=8)


def test_words_of_four_bits_are_half_as_large_and_nearly_as_good(
    small: Small, work: Path, made: Path, tmp_path: Path
) -> None:
    call(small, work, tmp_path, quantise="word_bits = 4")

    tables = {
        each.name: onnx.numpy_helper.to_array(each)
        for each in onnx.load(tmp_path / MODEL).graph.initializer
    }
    assert tables["words.codes"].shape == (75, 16)
    assert tables["words.codes"].dtype == np.uint8
    cosines = (Encoder.load(tmp_path).encode(TEXTS) * floats(small, work, TEXTS)).sum(1)
    assert cosines.min() > 0.93


def test_a_rows_codes_give_back_the_row() -> None:
    dense = np.random.default_rng(1).normal(size=(50, 24)).astype(np.float32)

    for bits, bound in ((8, 0.01), (4, 0.13)):
        codes, scales = graph.quantise_rows(dense, bits=bits)
        assert np.abs(codes).max() == 2 ** (bits - 1) - 1
        assert np.linalg.norm(codes * scales - dense) < bound * np.linalg.norm(dense)
    assert not graph.quantise_rows(np.zeros((2, 4), np.float32), bits=4)[0].any()


def test_static_ranges_give_one_vector_in_any_company(
    small: Small, work: Path, tmp_path: Path
) -> None:
    call(small, work, tmp_path, parity_mean=0.5, quantise="static = true")

    model = onnx.load(tmp_path / MODEL)
    assert not any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node)
    session = Encoder.load(tmp_path)._session
    ids = np.random.default_rng(2).integers(6, 70, (9, 12))
    (together,) = session.run(None, {"input_ids": ids})
    alone = np.concatenate([session.run(None, {"input_ids": ids[[row]]})[0] for row in range(9)])
    assert (together * alone).sum(1).min() > 0.9999


def test_the_arm64_configuration_is_built_and_follows_the_student(
    small: Small, work: Path, tmp_path: Path
) -> None:
    call(small, work, tmp_path, quantise='target = "arm64"')

    cosines = (Encoder.load(tmp_path).encode(TEXTS) * floats(small, work, TEXTS)).sum(1)
    assert cosines.min() > 0.95


def test_the_lean_graph_is_the_bert_it_was_made_from(small: Small) -> None:
    bert = student.load_teacher(small.teacher)
    ids = torch.randint(6, 70, (3, 11))

    with torch.no_grad():
        theirs = student.embed(bert, ids.tolist(), pad_id=0)
        ours = lean.Lean(bert).eval()(ids)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_encoders_are_measured_in_turns_and_the_card_quotes_it(
    small: Small, made: Path, tmp_path: Path
) -> None:
    own = tmp_path / "encoder"
    shutil.copytree(made, own)
    flags = ["--sts", str(small.sts / "pairs.tsv"), "--encoder", str(own), "--write"]
    result = CliRunner().invoke(measuring.evaluate_encoder, flags, catch_exceptions=False)
    assert result.exit_code == 0, result.output

    told = json.loads(result.stdout)
    (row,) = told["models"]
    assert row["name"] == "ours"
    assert row["bytes"] == sum((own / name).stat().st_size for name in (MODEL, TOKENIZER))
    assert row["texts_per_cpu_s"] > 0
    expected = sts.spearman(sts.read(small.sts / "pairs.tsv"), Encoder.load(own).encode)
    assert row["spearman"] == {"pairs": round(expected, 4)}
    assert results.read(own / results.NAME)["evaluation"] == told
    assert f"| ours | {row['bytes'] / 2**20:.1f} |" in (own / "CARD.md").read_text()


def test_what_was_measured_is_kept_only_beside_results(made: Path, small: Small) -> None:
    with pytest.raises(NotReadyError, match=r"results\.json"):
        measuring.keep(small.root, {})


def test_baselines_agree_with_one_another(small: Small, tmp_path: Path) -> None:
    float_one, int8_one = measuring.baselines(small.teacher, tmp_path)[:2]
    torch_one = np.asarray(
        student.embed_texts(
            student.load_teacher(small.teacher),
            vocabulary.load(small.teacher, max_tokens=64),
            WORDS,
        )
    )

    assert np.allclose(float_one.alone(WORDS), torch_one, atol=1e-4)
    assert np.allclose(float_one.together(WORDS), torch_one, atol=1e-4)
    assert ((int8_one.together(WORDS) * torch_one).sum(1) > 0.9).all()


def test_speed_texts_are_as_long_as_catalogue_texts() -> None:
    some = sts.Pairs(
        name="some", left=("one two three four five",) * 40, right=("",) * 40, scores=(1.0,) * 40
    )

    texts = measuring.speed_texts([some])
    assert len(texts) == 10
    assert all(len(text.split()) == 20 for text in texts)


def test_a_card_without_measurements_says_so(small: Small) -> None:
    recipe = recipes.read(small.recipe())
    found = {
        "digest": "d",
        "recipe": "r",
        "training": {"texts": 1, "views": 2, "cpu_hours": 0.1, "curve": []},
        "parity": {
            "bytes_model": 1,
            "bytes_tokenizer": 1,
            "texts": 3,
            "mean_cosine": 1.0,
            "min_cosine": 1.0,
            "spearman_float": None,
            "spearman_int8": None,
        },
    }

    words = card.card(recipe, found)
    assert "| Spearman, pairs.tsv | — | — |" in words
    assert "Beside others" not in words
