"""What each step of the pipeline costs in accuracy and gives in diversity, on people's own choices.

`make bench` prints the tables of ADR 0011. The protocol is `users` of the evaluator: a device has
four fifths of a person's choices, the list is held against the last fifth; epsilon 4 for life,
seen items left out.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ondevice.config import Ranking
from ondevice.encoder.session import Encoder
from ondevice.formats import space as spaces
from ondevice.formats.tensors import F32
from ondevice.paths import bundled
from ondevice.profile.base import FromRelease
from ondevice.profile.explain import Past
from ondevice.profile.owner_view import Owner
from ondevice.profile.pipeline import PLAIN, Wish
from ondevice.profile.release import Profile
from ondevice.ranking import diversify
from ondevice.ranking.metrics import coverage, diversity, ndcg
from ondevice.ranking.score import F64, top_k

pytestmark = pytest.mark.bench
data = pytest.importorskip("server_tools.evaluate.data")
ours = pytest.importorskip("server_tools.evaluate.ours")

SETS = Path(__file__).parents[3] / "shared" / "data" / "eval"
DEVICES = 200
WINDOW = 60


class Set:
    """One data set, its devices, and their released profiles."""

    def __init__(self, name: str, epsilon: float) -> None:
        folder = SETS / name
        if not folder.is_dir():
            pytest.skip(f"{folder} is missing")
        self.dataset = data.load(folder)
        split = data.split(self.dataset)
        base = spaces.read(bundled("space"))
        counts = np.zeros(len(self.dataset.items))
        for rows in split.publisher:
            np.add.at(counts, list(rows), 1)
        bias = (0.2 * np.log1p(counts)).astype(np.float32)
        self.recommender = ours.Recommender.of(self.dataset, base, vectors_of(self.dataset), bias)
        self.catalogue = self.recommender.catalogue
        self.devices = split.devices[:DEVICES]
        releases = ours.Releases(
            self.recommender, ours.factorised(base, epsilon), np.random.default_rng(6)
        )
        self.profiles: list[Profile] = [releases.profile(one.behaviours) for one in self.devices]

    def owner(self, k: int, wish: Wish) -> Owner:
        profile = self.profiles[k]
        base = FromRelease(profile=profile, catalogue=self.catalogue, past=Past.of(profile, []))
        return Owner(
            base=base,
            catalogue=self.catalogue,
            wish=wish,
            seen=frozenset(self.devices[k].behaviours),
            steps=profile.steps,
        )

    def figures(self, lists: Sequence[Sequence[int]]) -> tuple[float, float, float]:
        gains = [
            ndcg(rows, set(one.held_out), 10) for rows, one in zip(lists, self.devices, strict=True)
        ]
        apart = [diversity(self.catalogue.unit(list(rows))) for rows in lists]
        covered = coverage(lists, len(self.catalogue))
        return float(np.mean(gains)), float(np.mean(apart)), covered


def vectors_of(dataset: Any) -> F32:
    """Encode the texts, or read what an earlier bench encoded in this process's cache folder."""
    import tempfile

    from server_tools.evaluate.vectors import cached

    work = Path(tempfile.gettempdir()) / "ondevice-rec-bench"
    return cached(Encoder.load(bundled("encoder")), dataset.texts, work)


def by(chosen: Callable[[F64, F64], list[int]]) -> Callable[[Set, int], list[int]]:
    """A list from the best WINDOW items by one reordering."""

    def lists(one: Set, k: int) -> list[int]:
        owner = one.owner(k, Wish())
        rows = top_k(owner.values, WINDOW, owner.excluded)
        units = one.catalogue.unit(rows.tolist()).astype(np.float64)
        return [int(rows[place]) for place in chosen(owner.values[rows], units)[:10]]

    return lists


def by_wish(wish: Wish) -> Callable[[Set, int], list[int]]:
    return lambda one, k: [p.row for p in one.owner(k, wish).listing(limit=10).page]


def table(title: str, one: Set, ways: dict[str, Callable[[Set, int], list[int]]]) -> None:
    print(f"\n{title}: {len(one.devices)} devices, {len(one.catalogue)} items")
    print(f"  {'':<34}{'ndcg@10':>9}{'of none':>9}{'diversity':>11}{'coverage':>10}")
    first = math.nan
    for name, way in ways.items():
        gain, apart, covered = one.figures([way(one, k) for k in range(len(one.devices))])
        first = gain if math.isnan(first) else first
        print(f"  {name:<34}{gain:>9.4f}{gain / first:>9.3f}{apart:>11.3f}{covered:>10.3f}")
        assert 0 <= gain <= 1


@pytest.mark.parametrize("epsilon", [4.0, math.inf])
@pytest.mark.parametrize("name", ["ml100k", "online_retail", "lastfm_hetrec"])
def test_diversity(name: str, epsilon: float) -> None:
    ways = {"none": by(lambda scores, units: list(range(len(scores))))}
    for weight in (0.1, 0.3, 0.4, 0.5, 0.7, 0.9):
        ways[f"mmr {weight}"] = by(partial(diversify.mmr, weight=weight, count=10))
    for weight in (0.1, 0.2, 0.3, 0.5):
        ways[f"determinantal {weight}"] = by(
            partial(diversify.determinantal, weight=weight, count=10)
        )
    table(f"diversity, {name}, epsilon {epsilon:g}", Set(name, epsilon), ways)


@pytest.mark.parametrize("name", ["ml100k", "online_retail"])
def test_steps_of_the_pipeline(name: str) -> None:
    full = Wish.of(Ranking(), today=None)
    ways = {
        "by score alone": by_wish(Wish()),
        "as it ships": by_wish(full),
        "spacing and twins alone": by_wish(replace(full, ranking=PLAIN)),
    }
    for share in (0.1, 0.2):
        ways[f"discovery {share}"] = by_wish(replace(full, ranking=Ranking(discovery=share)))
    for novelty in (0.1, 0.3):
        ways[f"novelty {novelty}"] = by_wish(replace(full, ranking=Ranking(novelty=novelty)))
    for popular in (0.1, 0.3):
        ways[f"popularity {popular}"] = by_wish(replace(full, ranking=Ranking(popularity=popular)))
    table(f"pipeline, {name}, epsilon 4", Set(name, 4.0), ways)
