"""Train a decoder network with user-level differential privacy (DP-SGD, Opacus).

Items stand where their texts put them: directions of the catalogue, which is public, and no
residuals. What is learned from people are the network that reads a noisy profile, how much
popularity counts, and the statistics of `dp_statistics`. Every user has one loss, over all items
and never over what others in the batch chose; steps are fixed beforehand, each on users drawn
anew; nothing is tuned or stopped by anybody's data. PRIVACY.md 6.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ondevice.errors import ConfigError
from ondevice.formats.space import DecoderNetwork, Space
from ondevice.formats.tensors import F32
from ondevice.profile.network import FEATURES, GATE_HIDDEN
from server_tools.head import dp_budget, dp_statistics
from server_tools.head.batches import Batch, Histories, Noise
from server_tools.head.dp_budget import Budget
from server_tools.head.statistics import F64

Say = Callable[[str], None]
LEAST_USERS = 8
ALWAYS = math.log(math.e - 1)  # softplus of it is 1: the device's trust in taste is whole
CLOSED, OPENS = -4.0, 6.0  # the gate is softplus(CLOSED + OPENS * share of the signal) at first
_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateRecipe:
    """Everything that decides a private head besides the data; never fitted on it."""

    name: str = "private-head"
    dimension: int = 32
    hidden: int = 32  # few weights: noise costs the same in each
    half_life: int = 64  # steps
    delta: float | None = None  # 1 / (10 users) by default, at most 1e-5
    batch: int = 128  # users, expected
    steps: int = 150
    rate: float = 1e-2
    clip: float = 1.0  # of one user's gradient
    seed: int | None = None  # None: from the system, as it must be where it protects anybody


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrivateHead:
    """A space, a bias for every item, and what they cost."""

    space: Space
    bias: F32  # (n,), in units of the score
    budget: Budget | None  # None: trained without noise, for comparison or on public data

    def statement(self) -> dict[str, object]:
        """Return what is said about the training, beside the space."""
        return dp_budget.PUBLIC if self.budget is None else self.budget.statement()


class Decoder(nn.Module):
    """The network of a device, in layers whose gradients Opacus takes user by user."""

    def __init__(self, items: F64, popularity: F64, recipe: PrivateRecipe) -> None:
        """Begin as a plain sum: the hidden layer says nothing yet."""
        super().__init__()
        d = items.shape[1]
        self.register_buffer("items", torch.tensor(items, dtype=torch.float32))
        logs = torch.log1p(torch.tensor(popularity, dtype=torch.float32))
        self.register_buffer("log_popularity", logs)
        self.tau, self.scale = 4.5 / d**0.5, 0.3 / d**0.5
        self.inner = nn.Linear(d + FEATURES, recipe.hidden)
        self.outer = nn.Linear(recipe.hidden, d)
        opens, closes = nn.Linear(FEATURES, GATE_HIDDEN), nn.Linear(GATE_HIDDEN, 1)
        self.gate = nn.Sequential(opens, nn.GELU(approximate="tanh"), closes)
        self.popular = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)
        nn.init.constant_(self.popular.weight, 0.5)
        with torch.no_grad():  # what is mostly noise counts little before anything is learned
            opens.weight[0] = torch.tensor([0.0, 0.0, 4.0])
            opens.bias[0] = 0.0
            closes.weight.zero_()
            closes.weight[0, 0] = OPENS / 4.0
            closes.bias.fill_(CLOSED)

    def user(self, v: Tensor, weight: Tensor, noise: Tensor) -> Tensor:
        """Return user vectors (b, d); see `ondevice.profile.network`."""
        signal = self.scale * weight
        total = torch.sqrt(signal**2 + noise**2 + _TINY)
        z = v / total[:, None]
        features = torch.stack([torch.log1p(weight), torch.log1p(noise), signal / total], dim=1)
        hidden = functional.gelu(self.inner(torch.cat([z, features], dim=1)), approximate="tanh")
        return self.outer(hidden) + functional.softplus(self.gate(features)) * z  # type: ignore[no-any-return]

    def forward(self, v: Tensor, weight: Tensor, noise: Tensor) -> Tensor:
        """Return the scores (b, n) of all items."""
        taste = self.tau * self.user(v, weight, noise) @ self.items.T
        logs = self.log_popularity.expand(len(v), -1)[:, :, None]  # type: ignore[operator]
        return taste + self.popular(logs)[:, :, 0]  # type: ignore[no-any-return]

    @torch.no_grad()
    def network(self) -> dict[str, F32]:
        """Return the arrays as `ondevice.profile.network` names them."""
        found = {
            "w1": self.inner.weight,
            "b1": self.inner.bias,
            "w2": self.outer.weight,
            "b2": self.outer.bias,
            "gate_w1": self.gate[0].weight,
            "gate_b1": self.gate[0].bias,
            "gate_w2": self.gate[2].weight,
            "gate_b2": self.gate[2].bias,
            "scale": torch.tensor([self.scale]),
            "trust": torch.tensor([ALWAYS, 0.0]),
        }
        return {name: np.asarray(t, dtype=np.float32) for name, t in found.items()}


def train(
    vectors: F32,
    histories: Sequence[Sequence[int]],
    *,
    encoder: str,
    epsilon: float,
    recipe: PrivateRecipe | None = None,
    say: Say = lambda _: None,
) -> PrivateHead:
    """Train a head that keeps to `epsilon` for every user.

    Args:
        vectors: (n, e), of the items; public.
        histories: rows of items that each user chose, oldest first.
        encoder: digest of the encoder of `vectors`, hex.
        epsilon: of everything that is released; infinite trains without noise or clip.
        recipe: choices; the shipped ones by default.
        say: told what is going on.

    Raises:
        ConfigError: there are too few users, or the budget can't be kept to.
    """
    recipe = recipe or PrivateRecipe()
    useful = [tuple(rows) for rows in histories if len(rows) >= 2]
    if len(useful) < LEAST_USERS:
        raise ConfigError(
            f"{len(useful)} users with two or more choices are too few to train a head",
            hint=f"give the choices of {LEAST_USERS} or more",
        )
    budget = None
    if math.isfinite(epsilon):
        delta = recipe.delta or min(1e-5, 0.1 / len(useful))
        rate = min(1.0, recipe.batch / len(useful))
        budget = dp_budget.plan(epsilon, delta, sample_rate=rate, steps=recipe.steps)
        say(f"noise {budget.noise:.2f} a step, {budget.statistics_noise:.2f} for the statistics")
    bare = _bare(vectors, encoder=encoder, recipe=recipe)
    items = bare.project(vectors).astype(np.float64)
    generator = np.random.default_rng(recipe.seed)
    torch.manual_seed(int(generator.integers(1 << 62)))
    released = dp_statistics.release(
        items, useful, noise=budget.statistics_noise if budget else 0.0, generator=generator
    )
    decoder = Decoder(items, released.popularity, recipe)
    _descend(decoder, Histories.of(useful, recipe.half_life), recipe, budget, say)
    popular = decoder.log_popularity * decoder.popular.weight[0, 0]  # type: ignore[operator]
    typical = released.typical
    space = Space(
        name=recipe.name,
        encoder=encoder,
        centre=bare.centre,
        projection=bare.projection,
        half_life=recipe.half_life,
        temperature=decoder.tau,
        mean=typical.mean.astype(np.float32),
        between=typical.between.astype(np.float32),
        within=typical.within.astype(np.float32),
        decoder=DecoderNetwork(weights=decoder.network()),
    )
    bias = popular.detach().numpy().astype(np.float32)
    return PrivateHead(space=space, bias=bias, budget=budget)


def losses(decoder: nn.Module, items: Tensor, batch: Batch, noise: Tensor) -> Tensor:
    """Return the loss of every user of `batch`, (b,); `noise` (b,) is that of their devices."""
    users, n = len(batch.steps), len(items)
    valid = batch.wanted >= 0
    decayed = torch.zeros(users, n).scatter_add_(1, batch.past, batch.weights)
    target = torch.zeros(users, n)
    target.scatter_add_(1, batch.wanted.clamp(min=0), valid.float()).clamp_(max=1)
    v = decayed @ items
    v = v + noise[:, None] * torch.randn_like(v)
    scores = decoder(v, batch.weights.sum(1), noise)
    known = (decayed > 0) & (target == 0)
    likely = functional.log_softmax(scores.masked_fill(known, -1e9), dim=1)
    return -(likely * target).sum(1) / target.sum(1).clamp(min=1)


def backward(loss: Tensor) -> None:
    """Take the gradients of every user.

    Opacus hooks every layer; the first ones read data, which needs no gradient, and torch warns.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        loss.backward()  # type: ignore[no-untyped-call]


def private_optimiser(
    decoder: nn.Module, recipe: PrivateRecipe, budget: Budget | None, *, expected: int
) -> tuple[Any, Any]:
    """Return the wrapped network and the optimiser that clips, adds noise and steps."""
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    wrapped: Any = GradSampleModule(decoder, loss_reduction="mean")
    optimiser: Any = DPOptimizer(
        torch.optim.Adam(wrapped.parameters(), lr=recipe.rate),
        noise_multiplier=budget.noise if budget else 0.0,
        max_grad_norm=recipe.clip if budget else 1e6,
        expected_batch_size=expected,
        loss_reduction="mean",
    )
    return wrapped, optimiser


def _descend(
    decoder: Decoder,
    people: Histories,
    recipe: PrivateRecipe,
    budget: Budget | None,
    say: Say,
) -> None:
    noise = Noise(recipe.dimension, recipe.half_life)
    rate = min(1.0, recipe.batch / len(people))
    expected = max(1, round(rate * len(people)))
    wrapped, optimiser = private_optimiser(decoder, recipe, budget, expected=expected)
    items: Any = decoder.items
    for step in range(1, recipe.steps + 1):
        drawn = torch.nonzero(torch.rand(len(people)) < rate)[:, 0].tolist()
        optimiser.zero_grad()
        if drawn:
            batch = people.cut(drawn)
            loss = losses(wrapped, items, batch, noise.draw(batch.steps)).mean()
            backward(loss)
        else:  # nobody was drawn: the step is noise alone, or its absence would tell
            for weights in wrapped.parameters():
                weights.grad_sample = torch.zeros((0, *weights.shape))
        optimiser.step()
        if step % max(1, recipe.steps // 5) == 0:
            say(f"step {step} of {recipe.steps}")  # a loss would be a release of its own


def _bare(vectors: F32, *, encoder: str, recipe: PrivateRecipe) -> Space:
    """Return the space of the leading directions of public texts, with nothing learned yet."""
    there = np.asarray(vectors.any(axis=1))
    wide = vectors.astype(np.float64)
    centre = wide[there].mean(axis=0) if there.any() else np.zeros(vectors.shape[1])
    around = (wide - centre) * there[:, None]
    _, directions = np.linalg.eigh(around.T @ around)
    leading = directions[:, ::-1].T[: recipe.dimension]
    if len(leading) < recipe.dimension:
        raise ConfigError(
            f"vectors of {vectors.shape[1]} coordinates have no {recipe.dimension} directions",
            hint="choose a smaller dimension",
        )
    largest = np.abs(leading).argmax(axis=1)
    leading = leading * np.sign(leading[np.arange(len(leading)), largest])[:, None]
    d = recipe.dimension
    return Space(
        name=recipe.name,
        encoder=encoder,
        centre=centre.astype(np.float32),
        projection=leading.astype(np.float32),
        half_life=recipe.half_life,
        temperature=1.0,
        mean=np.zeros(d, dtype=np.float32),
        between=np.eye(d, dtype=np.float32),
        within=np.eye(d, dtype=np.float32),
    )
