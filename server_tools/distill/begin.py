"""What a run starts from: layers of the teacher, or an earlier run's student, cut down."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ondevice.errors import ConfigError, NotReadyError
from server_tools import recipe as recipes
from server_tools.distill import checkpoint, student
from server_tools.distill.command import work_folder
from server_tools.distill.prepare import Prepared
from server_tools.recipe import Recipe

_TEXTS = 1_000  # texts that show which neurons matter


def shape_of(recipe: Recipe, kept: Sequence[int], teacher: Any) -> Any:
    """A student of the recipe's shape, for weights that are on disk already."""
    model = student.cut(teacher, recipe.student, kept)
    width = recipe.student.intermediate or model.config.intermediate_size
    return student.prune(model, width, [[0]], pad_id=0)


def student_of(
    recipe: Recipe, recipe_path: Path, prepared: Prepared, teacher: Any, *, work: Path
) -> Any:
    """The untrained student of `recipe`; once there is a checkpoint in `work`, its shape only.

    Raises:
        NotReadyError: it starts from an earlier run that is not finished here.
        ConfigError: that run's layers are not this recipe's.
    """
    plan = recipe.student
    if (work / checkpoint.NAME).is_file():
        return shape_of(recipe, prepared.kept, teacher)
    if plan.start:
        model, kept = _earlier(recipe, recipe_path.parent / plan.start, teacher)
        if kept != list(prepared.kept):
            model = student.with_words(model, teacher, kept, prepared.kept)
    else:
        model = student.cut(teacher, plan, prepared.kept)
    if 0 < plan.intermediate < model.config.intermediate_size:
        shown = prepared.tokenizer.encode_batch(list(prepared.texts[:_TEXTS]))
        pad_id = prepared.tokenizer.token_to_id("[PAD]") or 0
        model = student.prune(model, plan.intermediate, [each.ids for each in shown], pad_id=pad_id)
    return model


def _earlier(recipe: Recipe, path: Path, teacher: Any) -> tuple[Any, list[int]]:
    first = recipes.read(path)
    if first.student.layers != recipe.student.layers:
        raise ConfigError(f"{path.name} has other layers than the recipe that starts from it")
    place = work_folder(first, None)
    progress, state = checkpoint.load(place, first)
    if progress.position.views < first.training.views:
        raise NotReadyError(
            f"the run of {path} stands at {progress.position.views} of "
            f"{first.training.views} texts",
            hint=f"finish it first: ondevice-server distill {path}",
        )
    kept = json.loads((place / "kept.json").read_text(encoding="utf-8"))
    if first.measure.keep_best and (place / checkpoint.BEST).is_file():
        _, state = checkpoint.load(place, first, name=checkpoint.BEST)
    model = shape_of(first, kept, teacher)
    model.load_state_dict(state["model"])
    return model.eval(), kept
