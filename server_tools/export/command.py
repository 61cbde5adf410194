"""`ondevice-server quantize RECIPE`."""

import json
import shutil
from pathlib import Path

import click

from server_tools import recipe as recipes
from server_tools import results
from server_tools.distill.command import teacher_folder, work_folder
from server_tools.distill.options import inputs


@click.command()
@click.argument("recipe_path", metavar="RECIPE", type=click.Path(path_type=Path))
@inputs
@click.option("--work", type=click.Path(path_type=Path), help="Folder of the distillation's state.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder to fill; the recipe's own by default."
)
def quantize(
    recipe_path: Path,
    data: Path,
    sts_folder: Path,
    teacher: Path | None,
    work: Path | None,
    out: Path | None,
) -> None:
    """Turn the distilled student into the int8 encoder that devices load.

    Writes model.onnx, tokenizer.json, encoder.json, results.json and CARD.md beside the recipe,
    and fails without touching them when the int8 model has moved too far from the student.
    """
    from ondevice.encoder.session import MODEL, NOTE, TOKENIZER, Encoder
    from server_tools.distill import begin, checkpoint, corpus, prepare, sts, student
    from server_tools.export import card, quantise

    recipe = recipes.read(recipe_path)
    place, target = work_folder(recipe, work), out or recipe_path.parent
    folder = teacher_folder(recipe.teacher, teacher)
    progress, state = checkpoint.load(place, recipe)
    if recipe.measure.keep_best and (place / checkpoint.BEST).is_file():
        _, state = checkpoint.load(place, recipe, name=checkpoint.BEST)
    prepared = prepare.prepare(recipe, teacher=folder, data=data, work=place)
    model = begin.shape_of(recipe, prepared.kept, student.load_teacher(folder))
    model.load_state_dict(state["model"])
    model.eval()
    pairs = sts.read(sts_folder / recipe.measure.sts) if recipe.measure.sts else None
    texts = quantise.held_out(
        corpus.read(data, recipe.texts),
        prepared.texts,
        size=recipe.quantise.parity_texts,
        seed=recipe.seed,
    )
    words = (place / "tokenizer.json").read_text(encoding="utf-8")
    staged = place / "export"
    digest = quantise.export(model, words, recipe, staged, texts=prepared.texts)
    parity = quantise.compare(
        Encoder.load(staged),
        staged,
        lambda some: student.embed_texts(model, prepared.tokenizer, some),
        texts,
        pairs,
    )
    click.echo(json.dumps(quantise.table(parity)), err=True)
    quantise.require(parity, recipe.quantise)
    target.mkdir(parents=True, exist_ok=True)
    for name in (MODEL, TOKENIZER, NOTE):
        shutil.copyfile(staged / name, target / name)
    if recipe_path.resolve() != (target / "recipe.toml").resolve():
        shutil.copyfile(recipe_path, target / "recipe.toml")
    found = results.encoder(
        recipe,
        digest=digest,
        progress={
            "texts": len(prepared.texts),
            "views": progress.position.views,
            "cpu_hours": round(progress.cpu_seconds / 3600, 2),
            "curve": [[views, round(value, 4)] for views, value in progress.measured],
        },
        parity=quantise.table(parity),
        inputs=prepared.inputs,
    )
    results.write(target / results.NAME, found)
    (target / "CARD.md").write_text(card.card(recipe, found), encoding="utf-8")
    click.echo(json.dumps({"schema": 1, "digest": digest, "out": str(target), **found["parity"]}))
