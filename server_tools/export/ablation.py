"""`ondevice-server ablation RECIPE…`: what each choice of a recipe is worth, one small run each."""

import json
from pathlib import Path
from typing import Any

import click

from server_tools import recipe as recipes
from server_tools import results
from server_tools.distill.command import teacher_folder
from server_tools.distill.options import inputs
from server_tools.recipe import Recipe

NAME = "ablations.json"


def row(
    recipe: Recipe, recipe_path: Path, *, data: Path, sts_folder: Path, teacher: Path, work: Path
) -> dict[str, Any]:
    """Distil `recipe` in `work`, quantise the student, measure it on the watched pairs."""
    from ondevice.encoder.session import Encoder
    from server_tools.distill import begin, prepare, sts, student, train, vocabulary
    from server_tools.export import quantise

    work.mkdir(parents=True, exist_ok=True)
    prepared = prepare.prepare(recipe, teacher=teacher, data=data, work=work)
    large = student.load_teacher(teacher)
    run = train.make(
        recipe,
        prepared,
        teacher=large,
        teacher_tokenizer=vocabulary.load(teacher, max_tokens=recipe.teacher.max_tokens),
        work=work,
        model=begin.student_of(recipe, recipe_path, prepared, large, work=work),
    )
    outcome = run.go(None)
    folder = work / "export"
    words = (work / "tokenizer.json").read_text(encoding="utf-8")
    model = run.model.eval()
    quantise.export(model, words, recipe, folder, texts=prepared.texts)
    pairs = sts.read(sts_folder / recipe.measure.sts)
    parity = quantise.compare(
        Encoder.load(folder),
        folder,
        lambda some: student.embed_texts(model, prepared.tokenizer, some),
        prepared.texts[: recipe.quantise.parity_texts],
        pairs,
    )
    return {
        "name": recipe.name,
        "recipe": recipe.digest,
        "views": outcome.views,
        "cpu_hours": round(outcome.cpu_seconds / 3600, 3),
        "bytes": parity.bytes_model + parity.bytes_tokenizer,
        "layers": list(recipe.student.layers),
        "neurons": recipe.student.intermediate or large.config.intermediate_size,
        "tokens": len(prepared.kept),
        "static": recipe.quantise.static,
        "parity": parity.mean_cosine,
        "spearman": {"float": parity.spearman_float, "int8": parity.spearman_int8},
    }


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows that the folder's ablations.json has."""
    path = folder / NAME
    found: list[dict[str, Any]] = []
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return found


def keep(folder: Path, found: dict[str, Any]) -> None:
    """Put a row into the folder's ablations.json, in order of name, and write the card anew."""
    from server_tools.export import card, plot

    kept_rows = [each for each in rows(folder) if each["name"] != found["name"]] + [found]
    kept_rows.sort(key=lambda each: str(each["name"]))
    whole = {"schema": 1, "rows": kept_rows}
    (folder / NAME).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    if (folder / results.NAME).is_file():
        kept = results.read(folder / results.NAME)
        main = recipes.read(folder / "recipe.toml")
        plot.write(folder, kept)
        (folder / "CARD.md").write_text(card.card(main, kept, kept_rows), encoding="utf-8")


@click.command()
@click.argument(
    "paths", metavar="RECIPE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@inputs
@click.option("--work", type=click.Path(path_type=Path), help="Folder of the runs' states.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Encoder whose ablations.json takes the rows."
)
def ablation(
    paths: tuple[Path, ...],
    data: Path,
    sts_folder: Path,
    teacher: Path | None,
    work: Path | None,
    out: Path | None,
) -> None:
    """Distil, quantise and measure small recipes that differ in one choice each.

    A finished row is measured again from its state; one JSON line a row goes to stdout.
    """
    for path in paths:
        recipe = recipes.read(path)
        place = work / path.stem if work else Path(".work") / f"ablation-{recipe.digest[:12]}"
        found = row(
            recipe,
            path,
            data=data,
            sts_folder=sts_folder,
            teacher=teacher_folder(recipe.teacher, teacher),
            work=place,
        )
        if out is not None:
            keep(out, found)
        click.echo(json.dumps(found))
