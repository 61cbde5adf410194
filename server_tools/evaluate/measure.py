"""From scores to figures: rank every item, measure the lists, once more by history length."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ondevice.formats.tensors import F32
from ondevice.ranking import metrics
from ondevice.ranking.score import top_k
from server_tools.evaluate.data import Device

F64 = NDArray[np.float64]
Scorer = Callable[[Device], F64]  # a device → the scores (n,) of all items

SHOWN = 10  # places that a person sees
DEEP = 50  # places that recall looks at
DECILES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Means over devices; coverage over all their lists together."""

    ndcg: float  # @10
    hit_rate: float  # @10
    recall: float  # @50
    coverage: float  # share of the catalogue in anybody's first 10
    novelty: float  # bits
    diversity: float  # mean 1 - cosine within the first 10

    def as_dict(self) -> dict[str, float]:
        """The JSON form."""
        return {
            "ndcg@10": round(self.ndcg, 6),
            "hr@10": round(self.hit_rate, 6),
            "recall@50": round(self.recall, 6),
            "coverage": round(self.coverage, 6),
            "novelty": round(self.novelty, 6),
            "diversity": round(self.diversity, 6),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Decile:
    """A tenth of the devices, by how many behaviours they have."""

    fewest: int
    most: int
    devices: int
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One recommender in one setting."""

    name: str
    figures: Figures
    deciles: tuple[Decile, ...]
    epsilon: float | None = None  # None: nothing is released
    view: str = "owner"
    noise_std: float | None = None  # of one coordinate of a release, after many steps
    more: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """The JSON form; an infinite epsilon is the text "inf"."""
        epsilon: object = self.epsilon
        if self.epsilon is not None and not np.isfinite(self.epsilon):
            epsilon = "inf"
        deciles = [
            {
                "behaviours": [decile.fewest, decile.most],
                "users": decile.devices,
                **decile.figures.as_dict(),
            }
            for decile in self.deciles
        ]
        row: dict[str, object] = {"name": self.name, "epsilon": epsilon, "view": self.view}
        row |= self.figures.as_dict()
        if self.noise_std is not None:
            row["noise_std"] = self.noise_std
        return row | self.more | {"deciles": deciles}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The devices, and what their lists are measured against."""

    devices: Sequence[Device]
    popularity: F64  # (n,), how many of the publisher's users chose each item
    vectors: F32  # (n, e), unit rows: what diversity is measured in

    def figures(self, scorer: Scorer) -> "Measured":
        """Rank all items for every device, leaving out what it has seen."""
        return self.views(scorer)[0]

    def views(self, scorer: Scorer) -> "tuple[Measured, Measured]":
        """Rank all items for every device: without what it has seen, and with it."""
        owner, shared = [], []
        for device in self.devices:
            scores = scorer(device)
            owner.append(top_k(scores, DEEP, device.behaviours).tolist())
            shared.append(top_k(scores, DEEP).tolist())
        return (
            Measured(bench=self, devices=self.devices, lists=owner),
            Measured(bench=self, devices=self.devices, lists=shared),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One list for each device."""

    bench: Bench
    devices: Sequence[Device]
    lists: Sequence[Sequence[int]]

    def total(self) -> Figures:
        """Over all devices."""
        return self._of(range(len(self.lists)))

    def deciles(self) -> tuple[Decile, ...]:
        """By history length, shortest first; empty ones are left out."""
        lengths = np.array([len(device.behaviours) for device in self.devices])
        parts = np.array_split(np.argsort(lengths, kind="stable"), DECILES)
        return tuple(
            Decile(
                fewest=int(lengths[part].min()),
                most=int(lengths[part].max()),
                devices=len(part),
                figures=self._of(part.tolist()),
            )
            for part in parts
            if len(part)
        )

    def _of(self, chosen: Sequence[int]) -> Figures:
        shown = [self.lists[n][:SHOWN] for n in chosen]
        held_out = [frozenset(self.devices[n].held_out) for n in chosen]
        deep = [self.lists[n] for n in chosen]

        def mean(values: list[float]) -> float:
            return float(np.mean(values)) if values else 0.0

        pairs = list(zip(deep, held_out, strict=True))
        return Figures(
            ndcg=mean([metrics.ndcg(ranked, wanted, SHOWN) for ranked, wanted in pairs]),
            hit_rate=mean([metrics.hit_rate(ranked, wanted, SHOWN) for ranked, wanted in pairs]),
            recall=mean([metrics.recall(ranked, wanted, DEEP) for ranked, wanted in pairs]),
            coverage=metrics.coverage(shown, len(self.bench.vectors)),
            novelty=mean([metrics.novelty(ranked, self.bench.popularity) for ranked in shown]),
            diversity=mean([metrics.diversity(self.bench.vectors[ranked]) for ranked in shown]),
        )


def join(parts: Sequence[Measured]) -> Measured:
    """Put measurements on one bench together: the same devices under other noise."""
    return Measured(
        bench=parts[0].bench,
        devices=[device for part in parts for device in part.devices],
        lists=[ranked for part in parts for ranked in part.lists],
    )
