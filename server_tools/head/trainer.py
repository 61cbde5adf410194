"""Train a head on a publisher's users: a space, and what belongs to the build of a catalogue.

Some of the users are held out; they decide when to stop and which dimension to take. Then the head
is trained on everybody for as long. The noise of the stream is in the training, at budgets drawn
anew for every user and step, none among them (PRIVACY.md 3).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ondevice.errors import ConfigError
from ondevice.formats.space import DecoderNetwork, Space
from ondevice.formats.tensors import F32
from ondevice.profile.words import Words
from server_tools.head import judge, statistics
from server_tools.head.batches import Batch, Histories, Noise
from server_tools.head.model import F64, Head, Inputs, Shape

Say = Callable[[str], None]
LEAST_USERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRecipe:
    """Everything that decides a head besides the data."""

    name: str = "head"
    dimensions: tuple[int, ...] = (32,)  # the one that held-out users speak for is taken
    half_life: int = 64  # steps
    rate: float = 4e-3
    batch: int = 128  # users
    steps: int = 600  # roughly, where there are few users
    fewest_epochs: int = 12
    most_epochs: int = 80
    checks: int = 10  # how often held-out users are asked
    warm_up: int = 20  # steps
    memory: float = 0.97  # of the mean of the weights, a step
    residual_decay: float = 0.3
    pull: float = 3e-3  # of the projection towards its start, a step
    unmasked: float = 0.0  # share of the users who may be told what they know: the shared view
    held_out: float = 0.15  # of the users
    held_out_bounds: tuple[int, int] = (30, 200)
    whole: int = 50_000  # items beyond which a step looks at a sample of them
    sampled: int = 8_192
    keep: float = 1.0  # weight of staying near the items of the space to keep
    seed: int = 0

    def epochs(self, users: int) -> int:
        """Return how often each of `users` is looked at, at most."""
        wanted = self.steps * self.batch // max(users, 1)
        return max(self.fewest_epochs, min(self.most_epochs, wanted))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """Items of an earlier head that a new one should stay near."""

    centre: F32  # (e,)
    projection: F32  # (d, e)
    items: F32  # (n, d), unit rows; zeros where the earlier head didn't know an item
    known: F64  # (n,), 1 where it did


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A head, and how it came about."""

    space: Space
    residual: F32  # (n, d), added to what the space makes of a text
    bias: F32  # (n,), in units of the score
    curve: tuple[tuple[int, int, float], ...] = field(default=())  # dimension, epoch, value
    epochs: int = 0


def train(
    vectors: F32,
    histories: Sequence[Sequence[int]],
    *,
    encoder: str,
    texts: Sequence[str] = (),
    recipe: HeadRecipe | None = None,
    kept: Kept | None = None,
    say: Say = lambda _: None,
) -> Trained:
    """Train a head; the same input gives the same head on the same machine.

    Args:
        vectors: (n, e), of the items, zeros where there is no text.
        histories: rows of items that each user chose, oldest first.
        encoder: digest of the encoder of `vectors`, hex.
        texts: of the n items, so that exact mode may count words; none: it doesn't.
        recipe: choices; the shipped ones by default.
        kept: the items of an earlier head.
        say: told what is going on.

    Raises:
        ConfigError: there are too few users.
    """
    recipe = recipe or HeadRecipe()
    useful = [tuple(rows) for rows in histories if len(rows) >= 2]
    if len(useful) < LEAST_USERS:
        raise ConfigError(
            f"{len(useful)} users with two or more choices are too few to train a head",
            hint=f"give the choices of {LEAST_USERS} or more; until then the base space serves",
        )
    generator = torch.Generator().manual_seed(recipe.seed)
    order = torch.randperm(len(useful), generator=generator).tolist()
    low, high = recipe.held_out_bounds
    held = min(max(low, min(high, int(recipe.held_out * len(useful)))), len(useful) // 2)
    people = Histories.of(useful, recipe.half_life)
    centre, text = _centred(vectors)
    task = _Task(recipe=recipe, people=people, centre=centre, text=text, kept=kept, say=say)
    dimensions = recipe.dimensions if kept is None else (len(kept.projection),)
    tried = [task.explore(d, order[held:], order[:held]) for d in dimensions]
    best = max(tried, key=lambda one: one.value)
    held_out = people.cut(order[:held], at=judge.CUT)
    by_share, popular = judge.calibration(best.head, task.noise(best.dimension), held_out)
    best.head.calibrate(by_share, popular)
    lexical = None
    if texts:
        weight = judge.words_weight(best.head, held_out, Words.of(texts))
        lexical = {"weight": np.array([weight], dtype=np.float32)}
        say(f"words in common count {weight:.2f} beside a score without noise")
    quality = judge.quality(best.head, task.noise(best.dimension), useful, order[:held], people)
    say(f"dimension {best.dimension} after {best.epoch} epochs; popularity times {popular:.2f}")
    head = task.run(best.dimension, list(range(len(useful))), until=best.epoch).eval()
    head.calibrate(by_share, popular)
    found = _space(head, centre, useful, encoder=encoder, recipe=recipe)
    return Trained(
        space=replace(found, quality=quality, lexical=lexical),
        residual=head.beyond_text(),
        bias=head.popularity().detach().numpy().astype(np.float32),
        curve=tuple(point for one in tried for point in one.curve),
        epochs=best.epoch,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tried:
    dimension: int
    epoch: int
    value: float
    head: Head
    curve: tuple[tuple[int, int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Task:
    recipe: HeadRecipe
    people: Histories
    centre: F64
    text: F32
    kept: Kept | None
    say: Say

    def noise(self, dimension: int) -> Noise:
        """Return the noise of a stream of `dimension`."""
        return Noise(dimension, self.recipe.half_life)

    def explore(self, dimension: int, learn: list[int], held: list[int]) -> _Tried:
        """Train on `learn`, and find the epoch that serves `held` best."""
        batch = self.people.cut(held, at=judge.CUT)
        noise = self.noise(dimension)
        curve: list[tuple[int, int, float]] = []
        best: tuple[float, int, dict[str, Tensor]] | None = None

        def look(epoch: int, head: Head) -> None:
            nonlocal best
            value = judge.value(head, noise, batch)
            curve.append((dimension, epoch, value))
            self.say(f"dimension {dimension}, epoch {epoch}: {value:.4f} on held-out users")
            if best is None or value > best[0]:
                state = {name: tensor.clone() for name, tensor in head.state_dict().items()}
                best = (value, epoch, state)

        head = self.run(dimension, learn, look=look)
        assert best is not None  # noqa: S101  # the last epoch was looked at
        head.load_state_dict(best[2])
        return _Tried(
            dimension=dimension, epoch=best[1], value=best[0], head=head.eval(), curve=tuple(curve)
        )

    def run(
        self,
        dimension: int,
        users: list[int],
        *,
        until: int | None = None,
        look: Callable[[int, Head], None] | None = None,
    ) -> Head:
        """Train a new head on `users` for `until` epochs, or for as many as the recipe allows.

        Its weights are a moving mean, so that no epoch is better than the next by chance alone.
        """
        recipe = self.recipe
        torch.manual_seed(recipe.seed)
        counts = np.zeros(len(self.text))
        for user in users:
            counts[self.people.rows[user].numpy()] += 1
        inputs = Inputs(text=self.text, counts=counts)
        head = Head(inputs, Shape(dimension=dimension), start=self._start(dimension))
        if self.kept is not None:
            shift = self.kept.projection @ (self.centre - self.kept.centre)
            head.offset.data.copy_(torch.tensor(shift))
        optimiser = torch.optim.AdamW(
            head.groups(rate=recipe.rate, residual_decay=recipe.residual_decay)
        )
        rates = [group["lr"] for group in optimiser.param_groups]
        epochs, noise = recipe.epochs(len(users)), self.noise(dimension)
        every, step = max(1, epochs // recipe.checks), 0
        total = (until or epochs) * math.ceil(len(users) / recipe.batch)
        average = [parameter.detach().clone() for parameter in head.parameters()]
        for epoch in range(1, (until or epochs) + 1):
            for chosen in torch.split(torch.randperm(len(users)), recipe.batch):
                pace = min(1.0, (step + 1) / recipe.warm_up)
                pace *= 0.02 + 0.49 * (1 + math.cos(math.pi * step / total))
                for group, rate in zip(optimiser.param_groups, rates, strict=True):
                    group["lr"] = rate * pace
                batch = self.people.cut([users[k] for k in chosen.tolist()])
                loss = _loss(head, noise, batch, recipe=recipe, kept=self.kept)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                head.pull(recipe.pull * pace)
                step += 1
                memory = min(recipe.memory, step / (step + 9))
                for mean, now in zip(average, head.parameters(), strict=True):
                    mean.lerp_(now.detach(), 1 - memory)
            if look is not None and (epoch % every == 0 or epoch == epochs):
                with _averaged(head, average):
                    look(epoch, head.eval())
                head.train()
        for parameter, mean in zip(head.parameters(), average, strict=True):
            parameter.detach().copy_(mean)
        return head

    def _start(self, dimension: int) -> F32:
        """Return the projection to begin at, (d, e): the leading directions of the texts.

        Where a head is kept it is that of the head.
        """
        if self.kept is not None:
            return self.kept.projection
        wide = self.text.astype(np.float64)
        _, directions = np.linalg.eigh(wide.T @ wide)
        found = directions[:, ::-1].T[:dimension]
        if len(found) < dimension:
            raise ConfigError(
                f"texts of {wide.shape[1]} coordinates have no {dimension} directions",
                hint="choose a smaller dimension",
            )
        largest = np.abs(found).argmax(axis=1)
        signs = np.sign(found[np.arange(len(found)), largest])
        return np.asarray(found * signs[:, None], dtype=np.float32)


@contextmanager
def _averaged(head: Head, average: Sequence[Tensor]) -> Iterator[None]:
    """Give `head` the weights `average` for a while."""
    now = [parameter.detach().clone() for parameter in head.parameters()]
    for parameter, mean in zip(head.parameters(), average, strict=True):
        parameter.detach().copy_(mean)
    yield
    for parameter, before in zip(head.parameters(), now, strict=True):
        parameter.detach().copy_(before)


def _loss(
    head: Head, noise: Noise, batch: Batch, *, recipe: HeadRecipe, kept: Kept | None
) -> Tensor:
    """Return how surprised the head is by what `batch` chose next, in nats, mean over users."""
    n = len(head.text)
    valid, real = batch.wanted >= 0, batch.weights > 0
    rows, named, correction = None, torch.empty(0, dtype=torch.long), 0.0
    past, wanted = batch.past, batch.wanted.clamp(min=0)
    if n > recipe.whole:
        named = torch.unique(torch.cat([past[real], wanted[valid]]))
        rows = torch.unique(torch.cat([named, torch.randint(n, (recipe.sampled,))]))
        past, wanted = torch.searchsorted(rows, past), torch.searchsorted(rows, wanted)
        past, wanted = past.clamp(max=len(rows) - 1), wanted.clamp(max=len(rows) - 1)
        correction = math.log(n / recipe.sampled)  # items nobody named stand for others
    items, users = head.items(rows), len(batch.steps)
    decayed = torch.zeros(users, len(items)).scatter_add_(1, past, batch.weights)
    target = torch.zeros(users, len(items)).scatter_add_(1, wanted, valid.float()).clamp(max=1)
    deviation = noise.draw(batch.steps)
    v = decayed @ items
    v = v + deviation[:, None] * torch.randn_like(v)
    u = head.user(v, batch.weights.sum(1), deviation)
    popular, counts = head.popularity(), head.counts
    if rows is not None:
        popular, counts = popular[rows], counts[rows]
        others = torch.ones(len(rows))
        others[torch.searchsorted(rows, named)] = 0.0
        popular = popular + correction * others
    others_only = torch.log1p((counts - 1).clamp(min=0)) - torch.log1p(counts)
    scores = head.tau() * u @ items.T + popular + target * (head.popular * others_only)
    known = (decayed > 0).float() * (1 - target)
    masked = (torch.rand(users, 1) >= recipe.unmasked).float()
    likely = functional.log_softmax(scores - 1e9 * known * masked, dim=1)
    loss = (-(likely * target).sum(1) / target.sum(1).clamp(min=1)).mean()
    return loss if kept is None else loss + recipe.keep * _moved(items, rows, kept)


def _moved(items: Tensor, rows: Tensor | None, kept: Kept) -> Tensor:
    """Return how far known items are from where they were: mean of 1 - cosine."""
    before, known = torch.tensor(kept.items), torch.tensor(kept.known, dtype=torch.float32)
    if rows is not None:
        before, known = before[rows], known[rows]
    away = 1 - (items * before).sum(1)
    return (away * known).sum() / known.sum().clamp(min=1)


def _centred(vectors: F32) -> tuple[F64, F32]:
    """Return the mean (e,) of the rows that say something, and the rows around it."""
    there = np.asarray(vectors.any(axis=1))
    wide = vectors.astype(np.float64)
    centre = wide[there].mean(axis=0) if there.any() else np.zeros(vectors.shape[1])
    return centre, np.asarray((wide - centre) * there[:, None], dtype=np.float32)


def _space(
    head: Head,
    centre: F64,
    histories: Sequence[Sequence[int]],
    *,
    encoder: str,
    recipe: HeadRecipe,
) -> Space:
    """Put what devices need into a space; the offset moves into the centre."""
    projection = head.projection.detach().numpy().astype(np.float64)
    offset = head.offset.detach().numpy().astype(np.float64)
    moved = centre - np.linalg.pinv(projection) @ offset
    with torch.no_grad():
        items = head.items().numpy().astype(np.float64)
    typical = statistics.of(items, histories)
    return Space(
        name=recipe.name,
        encoder=encoder,
        centre=moved.astype(np.float32),
        projection=projection.astype(np.float32),
        half_life=recipe.half_life,
        temperature=float(head.tau().detach()),
        mean=typical.mean.astype(np.float32),
        between=typical.between.astype(np.float32),
        within=typical.within.astype(np.float32),
        decoder=DecoderNetwork(weights=head.network()),
    )
