"""How well a head serves users it has not seen: while it learns, and as a table for people."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ondevice.formats.space import QualityRow
from ondevice.profile.words import Words
from server_tools.head.batches import EPSILONS, Batch, Histories, Noise
from server_tools.head.model import CERTAIN, Head, trust

CUT = 0.8  # of a history, as a device of the `users` protocol
SETTINGS = (math.inf, 8.0, 4.0, 2.0, 1.0)  # each counts the same
LENGTHS = (5, 10, 20, 50, 100)  # behaviours of the quality table
SHOWN = 10
DRAWS = 300  # lists behind one number of the table, roughly
FEWEST = 10  # users behind a row of the table
SEED = 5  # of the noise: the same at every look
LEAST_SCORE = 0.02  # of the weight of a score that says nothing beside words
_PART = 256  # users at a time
_CANDIDATES = 4096  # items that calibration looks at
_CALIBRATION = 30  # steps of its optimiser


@torch.no_grad()
def value(head: Head, noise: Noise, batch: Batch) -> float:
    """Return the mean of 1/log2(1 + rank) over all that users chose next; smoother than a top 10.

    Each user counts the same, and so does each of `SETTINGS`.
    """
    generator = torch.Generator().manual_seed(SEED)
    found = 0.0
    for epsilon in SETTINGS:
        for part, scores in _scores(head, noise, batch, epsilon, generator):
            valid = part.wanted >= 0
            said = torch.gather(scores, 1, part.wanted.clamp(min=0))
            ascending = torch.sort(scores, dim=1).values
            rank = scores.shape[1] - torch.searchsorted(ascending, said.contiguous())
            gain = valid / torch.log2(1 + rank.float())
            found += float((gain.sum(1) / valid.sum(1).clamp(min=1)).sum())
    return found / len(batch.steps) / len(SETTINGS)


@torch.no_grad()
def quality(
    head: Head,
    noise: Noise,
    histories: Sequence[Sequence[int]],
    held: Sequence[int],
    people: Histories,
) -> tuple[QualityRow, ...]:
    """Return NDCG@10 by epsilon and number of behaviours, on users that `head` has not seen."""
    generator, rows = torch.Generator().manual_seed(SEED), []
    for length in LENGTHS:
        able = [user for user in held if len(histories[user]) >= length * 5 // 4]
        if len(able) < FEWEST:
            continue
        batch = people.first(able, length)
        for epsilon in EPSILONS:
            repeats, total = math.ceil(DRAWS / len(able)), 0.0
            for _ in range(repeats):
                for part, scores in _scores(head, noise, batch, epsilon, generator):
                    total += float(_ndcg(scores, part.wanted).sum())
            ndcg = round(total / repeats / len(able), 4)
            rows.append(QualityRow(epsilon=epsilon, behaviours=length, ndcg=ndcg))
    return tuple(rows)


def calibration(head: Head, noise: Noise, batch: Batch) -> tuple[Tensor, float]:
    """Return how much taste and popularity should count for users that `head` has not seen.

    A head knows its own users better than others, so it trusts taste too much, most of all where
    noise hides it. Two numbers for taste and one for popularity make what `batch` chose next most
    likely, over all of `SETTINGS` together.
    """
    generator = torch.Generator().manual_seed(SEED)
    batch = batch.parts(_PART // 2)[0]
    tastes, shares = [], []
    with torch.no_grad():
        head.trust_by_share.copy_(torch.tensor([CERTAIN, 0.0]))
        wanted = torch.zeros(len(batch.steps), len(head.text) + 1)
        place = torch.where(batch.wanted >= 0, batch.wanted, len(head.text))
        wanted = wanted.scatter_(1, place, 1.0)[:, :-1]
        known = torch.zeros_like(wanted).scatter_add_(1, batch.past, batch.weights) > 0
        candidates = torch.randperm(len(head.text), generator=generator)[:_CANDIDATES]
        candidates = torch.unique(torch.cat([candidates, wanted.any(0).nonzero()[:, 0]]))
        popular = head.popularity()
        for epsilon in (*SETTINGS, EPSILONS[0]):
            ((_, scores),) = _scores(head, noise, batch, epsilon, generator)
            tastes.append((scores - popular)[:, candidates])
            deviation = noise.at(epsilon, batch.steps)
            shares.append(head.share(batch.weights.sum(1), deviation))
    taste = torch.stack(tastes).masked_fill(known[:, candidates], 0.0)
    share, wanted = torch.stack(shares), wanted[:, candidates]
    weights = torch.tensor([CERTAIN, 0.0, 1.0], requires_grad=True)
    hidden = torch.zeros_like(wanted).masked_fill(known[:, candidates], -1e9)
    optimiser = torch.optim.LBFGS([weights], max_iter=_CALIBRATION, line_search_fn="strong_wolfe")
    each = wanted / wanted.sum(1, keepdim=True).clamp(min=1)

    def surprise() -> Tensor:
        optimiser.zero_grad()
        counts = trust(weights[:2], share)[:, :, None] * taste
        logits = counts + weights[2] * popular[candidates] + hidden
        loss = -(torch.log_softmax(logits, dim=2) * each).sum(2).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(surprise)  # type: ignore[no-untyped-call]
    found = weights.detach()
    if not bool(torch.isfinite(found).all()):
        return torch.tensor([CERTAIN, 0.0]), 1.0
    return found[:2], float(found[2])


def words_weight(head: Head, batch: Batch, words: Words) -> float:
    """Return how much words in common should count beside the score without noise, at least 0.

    It makes what `batch` chose next most likely, together with a weight of the score itself; only
    the ratio of the two matters for an order.
    """
    batch = batch.parts(_PART // 2)[0]
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        ((_, scores),) = _scores(head, Noise(head.shape.dimension, 1), batch, math.inf, generator)
        hidden = torch.isinf(scores)
        scores = scores.masked_fill(hidden, 0.0)
        wanted = torch.zeros(len(batch.steps), len(head.text) + 1)
        place = torch.where(batch.wanted >= 0, batch.wanted, len(head.text))
        wanted = wanted.scatter_(1, place, 1.0)[:, :-1]
        each = wanted / wanted.sum(1, keepdim=True).clamp(min=1)
        pairs = zip(batch.past.tolist(), batch.weights.tolist(), strict=True)
        spoken = [words.likeness(dict(zip(*pair, strict=True))) for pair in pairs]
        likeness = torch.tensor(np.array(spoken), dtype=torch.float32)
    weights = torch.tensor([1.0, 1.0], requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=_CALIBRATION, line_search_fn="strong_wolfe")

    def surprise() -> Tensor:
        optimiser.zero_grad()
        logits = (weights[0] * scores + weights[1] * likeness).masked_fill(hidden, -1e9)
        loss = -(torch.log_softmax(logits, dim=1) * each).sum(1).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(surprise)  # type: ignore[no-untyped-call]
    score, word = (float(one) for one in weights.detach())
    return max(0.0, word) / max(score, LEAST_SCORE) if math.isfinite(score + word) else 0.0


def _scores(
    head: Head, noise: Noise, batch: Batch, epsilon: float, generator: torch.Generator
) -> "list[tuple[Batch, Tensor]]":
    """Return the scores of all items for `batch` in parts; what is known has none."""
    items, popular, found = head.items(), head.popularity(), []
    for part in batch.parts(_PART):
        decayed = torch.zeros(len(part.steps), len(items))
        decayed.scatter_add_(1, part.past, part.weights)
        deviation = noise.at(epsilon, part.steps)[:, None]
        v = decayed @ items
        v = v + deviation * torch.randn(v.shape, generator=generator)
        u = head.user(v, part.weights.sum(1), deviation[:, 0])
        scores = head.tau() * u @ items.T + popular
        found.append((part, scores.masked_fill(decayed > 0, -math.inf)))
    return found


def _ndcg(scores: Tensor, wanted: Tensor) -> Tensor:
    """Return NDCG@10 of each user."""
    shown = min(SHOWN, scores.shape[1])
    top = scores.topk(shown, dim=1).indices
    hits = (top[:, :, None] == wanted[:, None, :]).any(2).float()
    discount = 1 / torch.log2(torch.arange(shown) + 2.0)
    best = torch.cumsum(discount, 0)[(wanted >= 0).sum(1).clamp(min=1, max=shown) - 1]
    return (hits * discount).sum(1) / best
