"""The head of exact mode in the protocol `users`: several interests, no privacy, owner only.

It learns from the publisher's users; an eighth of them chooses. A device's deeds are its
behaviours, all of them; they speak as `ondevice.profile.interests` says.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ondevice.formats.tensors import F32
from ondevice.profile import interests
from server_tools.evaluate.data import Device, device
from server_tools.evaluate.measure import F64, Bench, Scorer
from server_tools.evaluate.official_data import TUNING_SHARE
from server_tools.head import interests_train
from server_tools.head.interests_train import InterestRecipe, TrainedInterests

DEEDS = 200  # of a device, the newest
REACH = 30  # deeds that an example looks back at: histories are longer than those of `official`
CELLS = 1 << 23  # of the largest table of a step
Say = Callable[[str], None]


def learn(
    channels: Sequence[F32],
    publisher: Sequence[Sequence[int]],
    bench: Callable[[Sequence[Device]], Bench],
    *,
    seed: int = 0,
    recipe: InterestRecipe | None = None,
    say: Say = lambda _: None,
) -> TrainedInterests:
    """Train and choose on the publisher's users.

    Args:
        channels: encoder vectors of n items, (n, e) each.
        publisher: rows of each of the users, oldest first.
        bench: makes a bench of other devices.
        seed: of the training, and of who chooses.
        recipe: choices; the shipped ones, looking further back, by default.
        say: told what is going on.

    Raises:
        ConfigError: there is too little to learn from.
    """
    base = recipe or InterestRecipe(last=REACH)
    n = len(channels[0])
    base = replace(base, seed=seed, batch=max(64, min(base.batch, CELLS // n)))
    order = np.random.default_rng(seed).permutation(len(publisher))
    held = set(order[: max(1, len(publisher) // TUNING_SHARE)].tolist())
    apart = [tuple(rows) for k, rows in enumerate(publisher) if k in held]
    judge = bench([device(str(k), rows) for k, rows in enumerate(apart)])
    return interests_train.train(
        interests_train.inputs(channels, dimension=base.dimension),
        [rows for k, rows in enumerate(publisher) if k not in held],
        apart,
        lambda head: judge.figures(scorer(head)).total().ndcg,
        recipe=base,
        say=say,
    )


def scorer(head: TrainedInterests) -> Scorer:
    """Return what a device in exact mode would say."""
    vectors = head.codes.unit().astype(np.float64)
    score = interests.scores if head.several else interests.one_vector

    def scores(one: Device) -> F64:
        deeds = vectors[list(one.behaviours[-DEEDS:])]
        return score(head.interests, deeds, vectors, head.bias)

    return scores
