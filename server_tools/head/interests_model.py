"""A head for raw history as torch sees it; `ondevice.profile.interests` is what a device runs.

An item is `x_j = unit(P t_j + r_j)` with t its texts and words, and r a residual. What happened
asks for `q_i = unit(x_i M)`; the score is `log sum_i p_i exp(tau <q_i, x_j>) + s log(1 + count_j)
+ b_j` (several interests), or `tau <unit(sum_i p_i x_i M), x_j> + …` (one user vector).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ondevice.formats.tensors import F32

SILENT = -1e9  # the logarithm of no weight
TINY = 1e-30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """What came before, and what came next; m of them."""

    past: Tensor  # (m, l) rows of items, newest last, -1 where there is nothing
    wanted: Tensor  # (m,) rows

    def __len__(self) -> int:
        return len(self.wanted)

    def part(self, chosen: Tensor) -> "Examples":
        """Return the examples at `chosen`."""
        return Examples(past=self.past[chosen], wanted=self.wanted[chosen])


class InterestHead(nn.Module):
    """Weights and the forward pass."""

    def __init__(
        self, texts: F32, counts: F32, *, last: int, several: bool, dropout: float
    ) -> None:
        """Begin at the cosine of `texts` (n, k), unit rows, and `counts` (n,) of choices."""
        super().__init__()
        n, k = texts.shape
        self.several, self.dropout, self.last = several, dropout, last
        self.texts = torch.tensor(texts)
        self.log_counts = torch.log1p(torch.tensor(counts, dtype=torch.float32))
        self.projection = nn.Parameter(torch.eye(k))
        self.query = nn.Parameter(torch.eye(k))
        self.residual = nn.Parameter(torch.zeros(n, k))
        self.bias = nn.Parameter(torch.zeros(n))
        self.popular = nn.Parameter(torch.tensor(0.0))
        self.positions = nn.Parameter(torch.linspace(-2.5, 1.0, last))  # newest last
        self.log_tau = nn.Parameter(torch.tensor(2.5))

    def items(self) -> Tensor:
        """Return the unit vectors (n, k) of all items."""
        read = self.texts @ self.projection + self.residual
        dropped = functional.dropout(read, self.dropout, self.training)
        return functional.normalize(dropped, dim=1)

    def popularity(self) -> Tensor:
        """Return the part (n,) of the score that is the same for everybody."""
        return self.popular * self.log_counts + self.bias

    def forward(self, past: Tensor) -> Tensor:
        """Return scores (b, n) after `past` (b, l).

        The sum over deeds is one sparse product with exp(tau (cosine - 1)), so the cosines of a
        deed that many share are taken once.
        """
        items = self.items()
        there = past >= 0
        loud = self.positions + torch.where(there, 0.0, SILENT)
        tau = self.log_tau.exp()
        if not self.several:
            weights = torch.softmax(loud, dim=1)
            user = torch.einsum("bl,blk->bk", weights, items[past.clamp(min=0)])
            asked = functional.normalize(user @ self.query, dim=1)
            return tau * asked @ items.T + self.popularity()
        named, at = torch.unique(past.clamp(min=0), return_inverse=True)
        asked = functional.normalize(items[named] @ self.query, dim=1)
        powers = torch.exp(tau * (asked @ items.T - 1.0))
        summed = functional.embedding_bag(
            at, powers, per_sample_weights=torch.softmax(loud, dim=1), mode="sum"
        )
        return torch.log(summed + TINY) + tau + self.popularity()

    def candidates(self, scores: Tensor, part: Examples) -> Tensor:
        """Leave out of `scores` (b, n) what was there before, unless it came next."""
        newest = part.past[:, -1:]
        past = torch.where(part.past < 0, newest, part.past)
        known = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, past, value=True)
        known.scatter_(1, part.wanted[:, None], value=False)
        return scores.masked_fill(known, SILENT)


def examples(sequences: list[tuple[int, ...]], *, last: int, both_ways: bool) -> Examples:
    """Return every item of `sequences` with the items just before it, each example once.

    Args:
        sequences: rows of items, oldest first.
        last: how far back an example looks.
        both_ways: read every sequence backwards too. Things that go together do so in any order:
            twice the examples, and what only came first is learned as an answer too.
    """
    ways = [*sequences, *(tuple(reversed(s)) for s in sequences)] if both_ways else sequences
    found = sorted(
        {(rows[max(0, k - last) : k], rows[k]) for rows in ways for k in range(1, len(rows))}
    )
    past = np.full((len(found), last), -1, dtype=np.int64)
    for row, (before, _) in enumerate(found):
        past[row, last - len(before) :] = before
    wanted = np.array([item for _, item in found], dtype=np.int64)
    return Examples(past=torch.from_numpy(past), wanted=torch.from_numpy(wanted))
