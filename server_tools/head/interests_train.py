"""Train a head for raw history: exact mode with several interests, or one user vector.

Some users are held out; they say how fast residuals may grow and when to stop, and nothing else
does. Then the head is trained on everybody for as long. Nothing here is private, and nothing of it
may reach a shared view.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional

from ondevice.errors import ConfigError
from ondevice.formats.tensors import F32, Codes
from ondevice.profile.interests import Interests
from ondevice.ranking.score import F64
from server_tools.head.interests_model import Examples, InterestHead, examples

Say = Callable[[str], None]
Sequences = Sequence[Sequence[int]]
LEAST = 32  # examples below which there is nothing to learn


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestRecipe:
    """Everything that decides such a head besides the data."""

    several: bool = True  # False: one user vector
    dimension: int = 256
    last: int = 10  # deeds that an example looks back at
    both_ways: bool = True  # read sequences backwards too
    rate: float = 2e-3  # of the two maps
    residual_rates: tuple[float, ...] = (2e-3, 4e-3, 8e-3)  # held-out users choose
    numbers_rate: float = 1e-2
    map_decay: float = 0.1
    residual_decay: float = 0.5
    dropout: float = 0.3
    batch: int = 2048
    epochs: int = 4  # at most
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedInterests:
    """What a build and a space get."""

    several: bool
    codes: Codes  # (n, k), as a device has them
    bias: F32  # (n,), in units of the score
    interests: Interests
    residual_rate: float
    epochs: int
    curve: tuple[tuple[float, int, float], ...] = field(default=())  # residual rate, epoch, value


def inputs(channels: Sequence[F32], *, dimension: int) -> F32:
    """Put channels of text, (n, e) each, side by side: unit rows of their leading directions.

    Every channel is centred on the rows that say something and made unit first, so that none
    drowns the others.
    """
    parts = []
    for rows in channels:
        there = rows.any(axis=1)
        wide = rows.astype(np.float64)
        centre = wide[there].mean(axis=0) if bool(np.any(there)) else 0.0
        centred = (wide - centre) * np.asarray(there)[:, None]
        parts.append(_unit(centred))
    both = _unit(np.concatenate(parts, axis=1))
    both -= both.mean(axis=0)
    _, directions = np.linalg.eigh(both.T @ both)
    leading = directions[:, ::-1][:, :dimension]
    largest = np.abs(leading).argmax(axis=0)
    leading = leading * np.sign(leading[largest, np.arange(leading.shape[1])])
    return np.asarray(_unit(both @ leading), dtype=np.float32)


def train(
    texts: F32,
    learn: Sequences,
    held: Sequences,
    judge: Callable[[TrainedInterests], float],
    *,
    recipe: InterestRecipe | None = None,
    say: Say = lambda _: None,
) -> TrainedInterests:
    """Choose on held-out users, then train on everybody.

    Args:
        texts: (n, k), unit rows, see `inputs`.
        learn: rows of items of the users to learn from, oldest first.
        held: of the users to choose by.
        judge: how well a head serves the held-out users; more is better. It is only shown heads
            that learned nothing from them.
        recipe: choices; the shipped ones by default.
        say: told what is going on.

    Raises:
        ConfigError: there are too few choices to learn from.
    """
    recipe = recipe or InterestRecipe()
    curve: list[tuple[float, int, float]] = []
    for residual_rate in recipe.residual_rates:

        def look(epoch: int, head: InterestHead, rate: float = residual_rate) -> None:
            value = judge(_frozen(head, rate, epoch))
            curve.append((rate, epoch, value))
            say(f"residual rate {rate:g}, epoch {epoch}: {value:.4f} on held-out users")

        _run(texts, learn, recipe, residual_rate, recipe.epochs, look)
    residual_rate, epochs, value = max(curve, key=lambda point: point[2])
    say(f"chosen: residual rate {residual_rate:g}, {epochs} epochs ({value:.4f})")
    head = _run(texts, [*learn, *held], recipe, residual_rate, epochs, None)
    found = _frozen(head, residual_rate, epochs)
    return TrainedInterests(
        several=found.several,
        codes=found.codes,
        bias=found.bias,
        interests=found.interests,
        residual_rate=residual_rate,
        epochs=epochs,
        curve=tuple(curve),
    )


def _run(
    texts: F32,
    sequences: Sequences,
    recipe: InterestRecipe,
    residual_rate: float,
    until: int,
    look: Callable[[int, InterestHead], None] | None,
) -> InterestHead:
    """Train a new head for `until` epochs of a schedule that is made for `recipe.epochs`."""
    rows = [tuple(s) for s in sequences]
    found = examples(rows, last=recipe.last, both_ways=recipe.both_ways)
    if len(found) < LEAST:
        raise ConfigError(
            f"{len(found)} choices that follow another are too few to learn interests from",
            hint=f"give histories with {LEAST} or more; until then the base space serves",
        )
    torch.manual_seed(recipe.seed)
    counts = np.bincount(found.wanted.numpy(), minlength=len(texts)).astype(np.float32)
    head = InterestHead(
        texts, counts, last=recipe.last, several=recipe.several, dropout=recipe.dropout
    )
    optimiser = _optimiser(head, recipe, residual_rate)
    rates = [group["lr"] for group in optimiser.param_groups]
    total, step = recipe.epochs * math.ceil(len(found) / recipe.batch), 0
    for epoch in range(1, until + 1):
        head.train()
        for chosen in torch.split(torch.randperm(len(found)), recipe.batch):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / total))
            loss = _loss(head, found.part(chosen))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            step += 1
        head.eval()
        if look is not None:
            look(epoch, head)
    return head


def _optimiser(
    head: InterestHead, recipe: InterestRecipe, residual_rate: float
) -> torch.optim.Optimizer:
    numbers = [head.positions, head.log_tau, head.popular, head.bias]
    return torch.optim.AdamW(
        [
            {
                "params": [head.projection, head.query],
                "lr": recipe.rate,
                "weight_decay": recipe.map_decay,
            },
            {"params": numbers, "lr": recipe.numbers_rate, "weight_decay": 0.0},
            {
                "params": [head.residual],
                "lr": residual_rate,
                "weight_decay": recipe.residual_decay,
            },
        ]
    )


def _loss(head: InterestHead, part: Examples) -> torch.Tensor:
    """Return how surprised the head is by what came next, among what a list may show."""
    scores = head.candidates(head(part.past), part)
    return functional.cross_entropy(scores, part.wanted)


@torch.no_grad()
def _frozen(head: InterestHead, residual_rate: float, epochs: int) -> TrainedInterests:
    """Return the head as a device gets it: codes, a bias and the space's arrays."""
    return TrainedInterests(
        several=head.several,
        codes=Codes.quantize(head.items().numpy().astype(np.float32)),
        bias=head.popularity().numpy().astype(np.float32),
        interests=Interests(
            query=head.query.numpy().astype(np.float64),
            positions=head.positions.numpy().astype(np.float64)[::-1].copy(),
            temperature=float(head.log_tau.exp()),
        ),
        residual_rate=residual_rate,
        epochs=epochs,
    )


def _unit(rows: F64) -> F64:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))
