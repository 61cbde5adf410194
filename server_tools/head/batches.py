"""What a head learns from: histories cut at random, and noise as a device's stream adds it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ondevice.privacy.decoder import noise_series
from ondevice.privacy.stream import StreamParameters

I64 = NDArray[np.int64]

DELTA = 1e-6
EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0)
QUIET = 0.25  # share of the draws that have no noise
ANYTHING = 0.1  # share of the draws whose noise is that of no budget: other mechanisms have others
REACH = 8  # half-lives; older behaviours have a weight below 0.4 %
LEAST = 5  # of the next behaviours, at least, are to be predicted
NEXT = 0.25  # share of a history, that many more


class Noise:
    """Standard deviations of v after n steps of a stream, for life."""

    def __init__(self, dimension: int, half_life: int) -> None:
        rows = []
        for epsilon in EPSILONS:
            p = StreamParameters.for_budget(epsilon, DELTA, dimension, half_life=half_life)
            series = noise_series(p.coefficients, half_life, REACH * half_life + 1)
            energy = np.concatenate([[0.0], np.cumsum(series**2)])
            rows.append(np.sqrt(p.sigma2 * energy) / p.grid)
        self._table = torch.tensor(np.array(rows), dtype=torch.float32)

    def at(self, epsilon: float, steps: Tensor) -> Tensor:
        """Return the deviations (b,) at one epsilon after `steps` (b,); infinite means none."""
        if not math.isfinite(epsilon):
            return torch.zeros(len(steps))
        return self._table[EPSILONS.index(epsilon), self._clip(steps)]

    def draw(self, steps: Tensor) -> Tensor:
        """Return the deviations (b,) of budgets that are drawn for each of `steps` (b,)."""
        which = torch.randint(len(EPSILONS), (len(steps),))
        jitter = torch.exp(torch.empty(len(steps)).uniform_(-0.35, 0.35))  # between two budgets
        found = self._table[which, self._clip(steps)] * jitter
        fate = torch.rand(len(steps))
        other = torch.exp(torch.empty(len(steps)).uniform_(math.log(0.1), math.log(40.0)))
        found = torch.where(fate < ANYTHING, other, found)
        return torch.where((fate > 1 - QUIET) | (steps == 0), 0.0, found)

    def _clip(self, steps: Tensor) -> Tensor:
        return steps.clamp(max=self._table.shape[1] - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """b users: what they did (h places, `weights` 0 where there is nothing), and what came next."""

    past: Tensor  # (b, h), rows of items
    weights: Tensor  # (b, h), beta^age
    steps: Tensor  # (b,)
    wanted: Tensor  # (b, t), rows of items; -1 where there is nothing

    def parts(self, most: int) -> "list[Batch]":
        """Return batches of at most `most` of the users, in order."""
        return [
            Batch(
                past=self.past[at : at + most],
                weights=self.weights[at : at + most],
                steps=self.steps[at : at + most],
                wanted=self.wanted[at : at + most],
            )
            for at in range(0, len(self.steps), most)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histories:
    """Users' histories, ready to be cut."""

    rows: Sequence[Tensor]  # of each user, oldest first
    half_life: int

    @classmethod
    def of(cls, histories: Sequence[Sequence[int]], half_life: int) -> "Histories":
        """Take what each user chose, oldest first."""
        tensors = [torch.tensor(list(h), dtype=torch.long) for h in histories]
        return cls(rows=tensors, half_life=half_life)

    def __len__(self) -> int:
        return len(self.rows)

    def cut(self, users: Sequence[int], *, at: float | None = None) -> Batch:
        """Cut the histories of `users`: at the share `at` of each, or anywhere with an end."""
        places = [self._place(len(self.rows[user]), at) for user in users]
        ends = [
            len(self.rows[user]) if at is not None else place + _more(len(self.rows[user]))
            for user, place in zip(users, places, strict=True)
        ]
        return self._batch(users, places, ends)

    def first(self, users: Sequence[int], behaviours: int) -> Batch:
        """Cut after the first `behaviours` of `users`, who have more; a quarter as many follow."""
        ends = behaviours + max(1, behaviours // 4)
        return self._batch(users, [behaviours] * len(users), [ends] * len(users))

    def _batch(self, users: Sequence[int], places: Sequence[int], ends: Sequence[int]) -> Batch:
        reach = REACH * self.half_life
        chosen = [self.rows[user] for user in users]
        past = [
            rows[max(0, place - reach) : place].flip(0)
            for rows, place in zip(chosen, places, strict=True)
        ]
        after = [rows[place:end] for rows, place, end in zip(chosen, places, ends, strict=True)]
        padded = pad_sequence(past, batch_first=True, padding_value=-1)
        if padded.shape[1] == 0:
            padded = torch.full((len(users), 1), -1)
        ages = torch.arange(padded.shape[1], dtype=torch.float32)
        return Batch(
            past=padded.clamp(min=0),
            weights=(0.5 ** (ages / self.half_life))[None] * (padded >= 0),
            steps=torch.tensor(places),
            wanted=pad_sequence(after, batch_first=True, padding_value=-1),
        )

    def _place(self, length: int, at: float | None) -> int:
        if at is not None:
            return max(0, min(length - 1, int(at * length)))
        share = 0.0 if torch.rand(()) < 0.03 else 0.2 + 0.7 * float(torch.rand(()))
        return max(0, min(length - 1, int(share * length)))


def _more(length: int) -> int:
    return max(LEAST, int(NEXT * length))
