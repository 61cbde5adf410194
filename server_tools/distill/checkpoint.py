"""A run's whole state in one file, replaced atomically: killed at any moment, it goes on."""

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ondevice.errors import ConfigError, FormatError, NotReadyError
from server_tools.distill.schedule import Position
from server_tools.recipe import Recipe

NAME, BEST = "checkpoint.pt", "best.pt"


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a run has come to, besides weights."""

    position: Position = field(default_factory=Position)
    cpu_seconds: float = 0.0
    measured: list[tuple[int, float]] = field(default_factory=list)  # views, Spearman


def save(
    work: Path,
    recipe: Recipe,
    progress: Progress,
    *,
    model: Any,
    optimiser: Any,
    name: str = NAME,
) -> None:
    """Write the state, or leave the one before it untouched."""
    partial = work / f"{name}.partial"
    state = {
        "training": recipe.training_digest,
        "views": recipe.training.views,
        "decay": recipe.training.decay,
        "progress": dataclasses.asdict(progress),
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict() if optimiser is not None else None,
    }
    with partial.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(work / name)


def load(work: Path, recipe: Recipe, *, name: str = NAME) -> tuple[Progress, dict[str, Any]]:
    """Read the state back: progress, and the saved tables of model and optimiser.

    Raises:
        NotReadyError: there is no checkpoint yet.
        FormatError: the file is damaged.
        ConfigError: it belongs to another recipe, or its rate had begun to fall on another plan.
    """
    path = work / name
    if not path.is_file():
        raise NotReadyError(
            f"no checkpoint in {work}", hint="run `ondevice-server distill RECIPE` first"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        saved = dict(state["progress"])
        progress = Progress(
            position=Position(**saved["position"]),
            cpu_seconds=saved["cpu_seconds"],
            measured=[(int(views), float(value)) for views, value in saved["measured"]],
        )
    except Exception as error:  # the reader of damaged bytes raises whatever it stumbles over
        raise FormatError(
            f"the checkpoint {path} is damaged: {error}", hint="remove it to start anew"
        ) from error
    if state["training"] != recipe.training_digest:
        raise ConfigError(
            f"the checkpoint in {work} belongs to another recipe",
            hint="choose another folder with --work DIR, or remove the checkpoint",
        )
    plan = recipe.training
    if (state["views"], state["decay"]) != (plan.views, plan.decay):
        begun = min(state["views"] - state["decay"], plan.views - plan.decay)
        if progress.position.views > begun:
            raise ConfigError(
                f"training.views or decay changed after {begun} views, when the rate had begun "
                f"to fall (now at {progress.position.views})",
                hint=f"set them back to {state['views']} and {state['decay']}, or start anew",
            )
    return progress, state
