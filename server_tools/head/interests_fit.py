"""How deeds speak in exact mode, for a head that is there already.

The vectors and biases of its items stay: they are what a catalogue's build gives to devices. Only
what a space can carry is learned: the map of what a deed asks for, how deeds fade with their
order, and the temperature. A held-out part of the users says when to stop, and whether it is
better than the map that changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from ondevice.formats.space import Space
from ondevice.formats.tensors import F32
from ondevice.profile.interests import Interests
from server_tools.head.interests_model import Examples, InterestHead, examples

Say = Callable[[str], None]
HELD = 8  # one of so many users is held out


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRecipe:
    """Everything that decides it besides the data."""

    last: int = 30  # deeds that an example looks back at; the device's older ones weigh as the last
    most: int = 20_000  # examples
    batch: int = 512
    cells: int = 1 << 23  # of the largest table of a step
    rate: float = 3e-3
    numbers_rate: float = 2e-2
    pull: float = 1e-2  # of the map towards the one that changes nothing, a step
    epochs: int = 4
    seed: int = 0


def attach(
    space: Space,
    items: F32,
    bias: F32,
    histories: Sequence[Sequence[int]],
    *,
    recipe: FitRecipe | None = None,
    say: Say = lambda _: None,
) -> Space:
    """Return `space` with the group `interests`; unchanged where there is too little to learn from.

    Args:
        space: of the head.
        items: (n, d), unit rows, as a build has them.
        bias: (n,), in units of the score.
        histories: rows of items of each user, oldest first.
        recipe: choices; the shipped ones by default.
        say: told what is going on.
    """
    recipe = recipe or FitRecipe()
    generator = np.random.default_rng(recipe.seed)
    useful = [tuple(rows) for rows in histories if len(rows) >= 2]
    if len(useful) < HELD:
        return space
    order = generator.permutation(len(useful)).tolist()
    cut = max(1, len(useful) // HELD)
    held = _some([useful[k] for k in order[:cut]], recipe, generator, recipe.most // HELD)
    learn = _some([useful[k] for k in order[cut:]], recipe, generator, recipe.most)
    torch.manual_seed(recipe.seed)
    head = InterestHead(
        items, np.zeros(len(items), np.float32), last=recipe.last, several=True, dropout=0.0
    )
    with torch.no_grad():
        head.bias.copy_(torch.tensor(bias))
        head.log_tau.fill_(float(np.log(space.temperature)))
        head.positions.copy_(-torch.arange(recipe.last - 1, -1, -1) * (np.log(2) / space.half_life))
    for fixed in (head.projection, head.residual, head.bias, head.popular):
        fixed.requires_grad_(False)  # noqa: FBT003  # torch's own
    optimiser = torch.optim.Adam(
        [
            {"params": [head.query], "lr": recipe.rate},
            {"params": [head.positions, head.log_tau], "lr": recipe.numbers_rate},
        ]
    )
    batch = max(32, min(recipe.batch, recipe.cells // len(items)))
    best, found = _surprise(head, held, batch), _frozen(head)
    say(f"interests: {best:.4f} nats a choice before training")
    for epoch in range(1, recipe.epochs + 1):
        for chosen in torch.split(torch.randperm(len(learn)), batch):
            part = learn.part(chosen)
            loss = functional.cross_entropy(head.candidates(head(part.past), part), part.wanted)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                head.query.lerp_(torch.eye(len(head.query)), recipe.pull)
        value = _surprise(head, held, batch)
        say(f"interests, epoch {epoch}: {value:.4f} nats a choice of held-out users")
        if value < best:
            best, found = value, _frozen(head)
    return replace(space, interests=found.arrays())


def _some(
    sequences: list[tuple[int, ...]], recipe: FitRecipe, generator: np.random.Generator, most: int
) -> Examples:
    whole = examples(sequences, last=recipe.last, both_ways=False)
    if len(whole) <= most:
        return whole
    return whole.part(torch.from_numpy(generator.permutation(len(whole))[:most]))


@torch.no_grad()
def _surprise(head: InterestHead, found: Examples, batch: int) -> float:
    total = 0.0
    for at in range(0, len(found), batch):
        part = Examples(past=found.past[at : at + batch], wanted=found.wanted[at : at + batch])
        scores = head.candidates(head(part.past), part)
        total += float(functional.cross_entropy(scores, part.wanted, reduction="sum"))
    return total / max(1, len(found))


@torch.no_grad()
def _frozen(head: InterestHead) -> Interests:
    return Interests(
        query=head.query.numpy().astype(np.float64),
        positions=head.positions.numpy().astype(np.float64)[::-1].copy(),
        temperature=float(head.log_tau.exp()),
    )
