"""What a person may expect of the base space: simulated people, the shipped mechanism.

The people are those that the base space's statistics come from: each likes a few categories. After
so many behaviours each is shown a list of the catalogue in which most of its next choices lie, and
the list is held against those choices. The figures rank settings; real people differ.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ondevice.domain import Item
from ondevice.formats.catalogue import Catalogue
from ondevice.formats.space import QualityRow, Space
from ondevice.formats.tensors import F32
from ondevice.profile.steps import step_of
from ondevice.ranking.metrics import ndcg
from server_tools.evaluate.ours import WEIGHT, Recommender, Releases, factorised
from server_tools.head.base_space import BaseRecipe, Sample, history, topics_of

LENGTHS = (5, 10, 20, 50)  # behaviours; with more, the small samples have little new to offer
EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0, math.inf)
NO_NOISE = 1000.0  # how the table writes an infinite epsilon
PEOPLE = 300
NEXT = 20  # choices after the behaviours
SHOWN = 10


def measured(
    samples: Sequence[Sample], space: Space, *, recipe: BaseRecipe | None = None
) -> tuple[QualityRow, ...]:
    """Return NDCG@10 by epsilon and number of behaviours; the same input gives the same rows.

    Args:
        samples: the catalogues that `space` was fitted on.
        space: the base space.
        recipe: choices; the shipped ones by default.
    """
    recipe = recipe or BaseRecipe()
    items = [item for sample in samples for item in sample.items]
    part = np.repeat(np.arange(len(samples)), [len(sample.items) for sample in samples])
    ours = _recommender(items, np.concatenate([sample.vectors for sample in samples]), space)
    topics = topics_of(samples)
    rows = []
    for length in LENGTHS:
        generator = np.random.default_rng((recipe.seed, length))
        people = [
            history(topics, len(items), generator, recipe, length=length + NEXT)
            for _ in range(PEOPLE)
        ]
        for epsilon in EPSILONS:
            releases = Releases(ours, factorised(space, epsilon), generator)
            found = [_ndcg(releases, person[:length], person[length:], part) for person in people]
            rows.append(
                QualityRow(
                    epsilon=epsilon if math.isfinite(epsilon) else NO_NOISE,
                    behaviours=length,
                    ndcg=round(float(np.mean(found)), 2),
                )
            )
    return tuple(rows)


def _recommender(items: Sequence[Item], vectors: F32, space: Space) -> Recommender:
    unique = [replace(item, id=f"{row}") for row, item in enumerate(items)]
    nothing = np.zeros(len(items), dtype=np.float32)
    catalogue = Catalogue.in_memory(unique, space.project(vectors), nothing, space)
    steps = np.array([step_of(unit, WEIGHT) for unit in catalogue.unit()], dtype=np.int64)
    return Recommender(catalogue=catalogue, steps=steps, weight=WEIGHT)


def _ndcg(releases: Releases, behaviours: np.ndarray, then: np.ndarray, part: np.ndarray) -> float:
    """NDCG@10 of one list, over the catalogue that most of `then` belongs to."""
    scores = releases.scores(behaviours.tolist())
    here = np.bincount(part[then]).argmax()
    scores[part != here] = -np.inf
    scores[behaviours] = -np.inf
    wanted = {row for row in then.tolist() if part[row] == here} - set(behaviours.tolist())
    ranked = np.argsort(-scores, kind="stable")[:SHOWN]
    return ndcg(ranked.tolist(), wanted, SHOWN)
