"""Rows of what a choice is worth, the plot and the card that quote them."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from server_tools import recipe as recipes
from server_tools import results
from server_tools.distill.options import DATA
from server_tools.evaluate import encoder as measuring
from server_tools.export import ablation, card, plot
from tests.server import small_teacher
from tests.server.small_teacher import Small

ROWS = Path("models/encoder/ablations")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_teacher.make(tmp_path_factory.mktemp("small"))


def call(recipe: Path, *flags: str) -> dict[str, Any]:
    result = CliRunner().invoke(ablation.ablation, [str(recipe), *flags], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_row_says_what_it_is_and_comes_out_again(small: Small, tmp_path: Path) -> None:
    recipe = small.recipe(views=64, decay=32)
    flags = [*small.flags(tmp_path / "work"), "--out", str(tmp_path)]

    first = call(recipe, *flags)
    again = call(recipe, *flags)

    assert ablation.rows(tmp_path) == [again]
    assert first["recipe"] == recipes.read(recipe).digest
    assert first["views"] == again["views"] >= 64
    assert first["spearman"] == again["spearman"]
    assert first["bytes"] > 1000


def test_the_card_quotes_the_rows_in_order(small: Small, tmp_path: Path) -> None:
    one = {
        "name": "b",
        "recipe": "a" * 64,
        "views": 1600,
        "cpu_hours": 0.01,
        "bytes": 3 << 20,
        "parity": 0.99,
        "spearman": {"float": 0.5, "int8": 0.4},
    }
    ablation.keep(tmp_path, one)
    ablation.keep(tmp_path, one | {"name": "a"})
    ablation.keep(tmp_path, one | {"spearman": {"float": 0.6, "int8": 0.4}})

    kept = ablation.rows(tmp_path)
    assert [row["name"] for row in kept] == ["a", "b"]
    words = card.card(recipes.read(small.recipe()), FOUND, kept)
    assert "| b | `aaaaaaaaaaaa` | 1,600 | 0.010 | 3.0 | 0.6000 | 0.4000 | 0.9900 |" in words


FOUND = {
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


def test_the_plot_shows_every_model_where_it_stands(tmp_path: Path) -> None:
    models = [
        {"name": "ours", "bytes": 9 << 20, "texts_per_cpu_s": 400.0, "spearman": {"s": 0.85}},
        {"name": "large", "bytes": 90 << 20, "texts_per_cpu_s": 80.0, "spearman": {"s": 0.87}},
    ]
    assert not plot.write(tmp_path, {"evaluation": {"models": models[:1]}})
    assert plot.write(tmp_path, {"evaluation": {"models": models}})

    root = ET.fromstring((tmp_path / plot.NAME).read_text(encoding="utf-8"))
    dots = [each for each in root.iter() if each.tag.endswith("circle")]
    by_size = [float(each.attrib["cx"]) for each in dots[:2]]
    by_pace = [float(each.attrib["cx"]) for each in dots[2:]]
    assert by_size[0] < by_size[1]
    assert by_pace[0] > by_pace[1]
    assert float(dots[0].attrib["cy"]) > float(dots[1].attrib["cy"])


def test_measuring_draws_the_plot_beside_the_card(small: Small, tmp_path: Path) -> None:
    recipe = small.recipe()
    (tmp_path / "recipe.toml").write_text(recipe.read_text(encoding="utf-8"), encoding="utf-8")
    results.write(tmp_path / results.NAME, FOUND)
    models = [
        {
            "name": name,
            "bytes": 1 << 20,
            "texts_per_cpu_s": pace,
            "texts_per_cpu_s_batch_32": pace,
            "spearman": {"s": 0.8},
            "ready_cpu_ms": 40.0,
        }
        for name, pace in (("ours", 2.0), ("teacher", 1.0))
    ]
    ndcg = {"films": {"ours": 0.1, "teacher": 0.2, "ratio": 0.5}}
    measuring.keep(tmp_path, {"machine": "one", "models": models, "ndcg": ndcg})

    words = (tmp_path / "CARD.md").read_text(encoding="utf-8")
    assert "(plot.svg)" in words
    assert "Ready to encode after 40 CPU-ms" in words
    assert "| films | 0.1000 | 0.2000 | 0.5000 |" in words
    assert (tmp_path / plot.NAME).is_file()


@pytest.mark.slow
def test_the_smallest_row_comes_out_again(tmp_path: Path) -> None:
    if not (DATA / "distill").is_dir():
        pytest.skip("../shared/data is not here")
    kept = {row["name"]: row for row in ablation.rows(Path("models/encoder"))}["texts-500"]
    found = call(ROWS / "texts-500.toml", "--work", str(tmp_path))

    assert found["recipe"] == kept["recipe"]
    assert found["spearman"]["int8"] == pytest.approx(kept["spearman"]["int8"], abs=0.01)


@pytest.mark.parametrize("path", sorted(ROWS.glob("*.toml")), ids=lambda path: path.stem)
def test_rows_are_recipes_of_their_own_name(path: Path) -> None:
    assert recipes.read(path).name == path.stem
