"""A private head on disk: the folder of any head, and `privacy.json`, which says what it cost."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ondevice.formats import canonical, space
from ondevice.formats.tensors import F32
from server_tools.head import dp_train, learned
from server_tools.head.dp_budget import PUBLIC
from server_tools.head.dp_train import PrivateRecipe
from server_tools.head.learned import Learned

__all__ = ["FILE", "PUBLIC", "PrivateLearned", "fit", "recipe", "state", "told", "write"]

FILE = "privacy.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrivateLearned:
    """A head as any other, and the statement beside it."""

    learned: Learned
    statement: Mapping[str, object]


def recipe(*, name: str, half_life: int, dimensions: Sequence[int] = ()) -> PrivateRecipe:
    """Return the shipped choices, with at most one dimension of the caller's."""
    found = PrivateRecipe(name=name, half_life=half_life)
    return replace(found, dimension=dimensions[0]) if dimensions else found


def fit(
    ids: Sequence[str],
    vectors: F32,
    histories: Sequence[Sequence[int]],
    *,
    encoder: str,
    epsilon: float,
    recipe: PrivateRecipe,
    say: Callable[[str], None] = lambda _: None,
) -> PrivateLearned:
    """Train a private head on n items; see `dp_train.train`.

    Raises:
        ConfigError: there are too few users, or the budget can't be kept to.
    """
    head = dp_train.train(
        vectors, histories, encoder=encoder, epsilon=epsilon, recipe=recipe, say=say
    )
    residual = np.zeros((len(ids), head.space.dimension), dtype=np.float32)  # there are none
    found = Learned(space=head.space, ids=tuple(ids), residual=residual, bias=head.bias)
    return PrivateLearned(learned=found, statement=head.statement())


def write(found: PrivateLearned, folder: Path) -> None:
    """Write the head into `folder`, and what it cost."""
    learned.write(found.learned, folder)
    state(found.statement, folder)


def state(statement: Mapping[str, object], folder: Path) -> None:
    """Write a statement beside a head."""
    head = space.read(folder)
    (folder / FILE).write_bytes(canonical.dump({"space": head.digest, **statement}))


def told(found: PrivateLearned) -> str:
    """Say in one line what was spent."""
    epsilon = found.statement.get("epsilon")
    if not isinstance(epsilon, float) or not math.isfinite(epsilon):
        return str(found.statement["trained_on"])
    said = found.statement
    return (
        f"epsilon {epsilon:.3f} at delta {said['delta']:g} for each user, by {said['accountant']}"
    )
