"""The protocols `users` and `zero-shot`: who is asked, what is compared, in which settings.

Both use the same devices. `users` lets recommenders learn from the publisher's users; `zero-shot`
only lets them read texts, so ours has no bias there.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ondevice.errors import ConfigError
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32
from ondevice.profile.words import Words, weight_of
from server_tools.evaluate import baselines, bias, ours
from server_tools.evaluate.data import Dataset, Device, Split, split
from server_tools.evaluate.measure import F64, Bench, Measured, Row, Scorer, join
from server_tools.evaluate.ours import Mechanism, Recommender, Releases
from server_tools.head.learned import Learned

DRAWS = 600  # lists at each epsilon, at least: few devices are asked again with other noise
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """What one run measured."""

    dataset: str
    protocol: str
    seed: int
    split: Split
    items: int
    space: Space
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, object]:
        """The JSON document."""
        return {
            "schema": 1,
            "dataset": self.dataset,
            "protocol": self.protocol,
            "users": len(self.split.devices),
            "items": self.items,
            "publisher_users": len(self.split.publisher),
            "minimum": self.split.minimum,
            "seed": self.seed,
            "space": {"name": self.space.name, "digest": self.space.digest},
            "rows": [row.as_dict() for row in self.rows],
        }


def run(
    dataset: Dataset,
    *,
    protocol: str,
    space: Space,
    vectors: F32,
    epsilons: Sequence[float],
    head: Learned | None = None,
    seed: int = 0,
    teacher: Callable[[], F32] | None = None,
    with_baselines: bool = False,
    say: Say = lambda _: None,
) -> Report:
    """Measure ours, and the baselines if wanted.

    Args:
        dataset: n items and their users.
        protocol: "users" or "zero-shot".
        space: ours.
        vectors: (n, e), of the space's encoder.
        epsilons: for life; infinite for no noise.
        head: what was learned of items in `space`; without one a bias is learned.
        seed: of the split and of the noise.
        teacher: makes the teacher's vectors (n, e).
        with_baselines: measure them too.
        say: told what is going on.

    Raises:
        ConfigError: another protocol, or too few users.
    """
    if protocol == "official":
        raise ConfigError(
            "the protocol 'official' trains a head, which this version does not do yet",
            hint="choose --protocol users or zero-shot",
        )
    if protocol not in {"users", "zero-shot"}:
        raise ConfigError(f"there is no protocol '{protocol}'", hint="users or zero-shot")
    parts = split(dataset, seed=seed)
    n = len(dataset.items)
    bench = bench_of(parts.devices, baselines.counts(parts.publisher, n), vectors)
    say(f"{dataset.name}: {n} items, {len(parts.devices)} devices, >= {parts.minimum} positives")
    rows: list[Row] = []
    made = _recommenders(
        dataset, parts, space, vectors, head, protocol=protocol, seed=seed, say=say
    )
    spoken = Words.of(dataset.texts) if head is not None and weight_of(space) else None
    for row in _ours(made, bench, epsilons, spoken, seed=seed):
        say(_line(row))
        rows.append(row)
    if with_baselines:
        for name, make in _baselines(dataset, parts, bench, vectors, teacher):
            rows.append(row_of(name, bench.figures(make())))
            say(_line(rows[-1]))
    return Report(
        dataset=dataset.name,
        protocol=protocol,
        seed=seed,
        split=parts,
        items=n,
        space=space,
        rows=tuple(rows),
    )


def bench_of(devices: Sequence[Device], popularity: F64, vectors: F32) -> Bench:
    """Return a bench whose lists' diversity is measured in centred encoder `vectors` (n, e)."""
    centred = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    units = centred / np.maximum(lengths, np.finfo(np.float32).tiny)
    return Bench(devices=devices, popularity=popularity, vectors=units.astype(np.float32))


def row_of(name: str, measured: Measured) -> Row:
    """Return the row of something that releases nothing."""
    return Row(name=name, figures=measured.total(), deciles=measured.deciles())


def _recommenders(
    dataset: Dataset,
    parts: Split,
    space: Space,
    vectors: F32,
    head: Learned | None,
    *,
    protocol: str,
    seed: int,
    say: Say,
) -> dict[str, Recommender]:
    """Return ours, and with a head also what it is for new items and for free text.

    `ours_cold` knows nothing of any item but its text; with `ours_text` only what people did is
    text, and the items are those that the head knows.
    """
    nothing = np.zeros(len(dataset.items), dtype=np.float32)
    plain = Recommender.of(dataset, space, vectors, nothing)
    if head is not None:
        residual, popular = head.of([item.id for item in dataset.items])
        known = Recommender.of(dataset, space, vectors, popular, residual=residual)
        told = Recommender.of(dataset, space, vectors, popular, residual=residual, told=True)
        return {"ours": known, "ours_cold": plain, "ours_text": told}
    if protocol == "users":
        say("bias: learning how much popularity counts")
        return {"ours": plain.with_bias(bias.learn(plain, parts.publisher, seed=seed))}
    return {"ours": plain}


def _ours(
    made: dict[str, Recommender],
    bench: Bench,
    epsilons: Sequence[float],
    spoken: Words | None,
    *,
    seed: int,
) -> Iterator[Row]:
    """Yield ours at every epsilon; without noise raw history is read, and words of it count too."""
    recommender = made["ours"]
    space = recommender.catalogue.space
    for epsilon in sorted(epsilons, reverse=True):
        owner, shared = _released(recommender, bench, ours.factorised(space, epsilon), seed=seed)
        if not math.isfinite(epsilon) and spoken is not None:
            yield replace(owner, name="ours_stream")
            owner = _exact(recommender, bench, spoken, owner)
        yield owner
        yield shared
        if math.isfinite(epsilon):
            for other in (ours.fresh_noise(space, epsilon), ours.single_release(space, epsilon)):
                yield _released(recommender, bench, other, seed=seed)[0]
        for name in ("ours_cold", "ours_text"):
            if name in made:
                mechanism = replace(ours.factorised(space, epsilon), name=name)
                yield _released(made[name], bench, mechanism, seed=seed)[0]


def _exact(recommender: Recommender, bench: Bench, spoken: Words, stream: Row) -> Row:
    """Measure the owner's list from raw history: the stream's score without noise, and words."""
    space = recommender.catalogue.space
    mechanism, weight = ours.factorised(space, math.inf), weight_of(space)
    releases = Releases(recommender, mechanism, np.random.default_rng(0))
    beta = 0.5 ** (1 / space.half_life)

    def score(one: Device) -> F64:
        ages = range(len(one.behaviours))[::-1]
        history = {row: beta**age for row, age in zip(one.behaviours, ages, strict=True)}
        return releases.scores(one.behaviours) + weight * spoken.likeness(history)

    measured = bench.figures(score)
    return replace(stream, figures=measured.total(), deciles=measured.deciles())


def _released(
    recommender: Recommender, bench: Bench, mechanism: Mechanism, *, seed: int
) -> tuple[Row, Row]:
    """Measure the owner's and the shared lists of one mechanism, with enough draws of noise."""
    noisy = math.isfinite(mechanism.epsilon)
    repeats = math.ceil(DRAWS / len(bench.devices)) if noisy else 1
    releases = Releases(recommender, mechanism, np.random.default_rng((seed, 2)))
    measured = [bench.views(lambda one: releases.scores(one.behaviours)) for _ in range(repeats)]
    more = {}
    if noisy:
        once = ours.single_release(recommender.catalogue.space, mechanism.epsilon)
        more["noise_over_single"] = round(mechanism.noise_std / once.noise_std, 4)
    owner, shared = (
        Row(
            name=name,
            epsilon=mechanism.epsilon,
            view=view,
            figures=joined.total(),
            deciles=joined.deciles(),
            noise_std=mechanism.noise_std,
            more=more,
        )
        for name, view, joined in (
            (mechanism.name, "owner", join([pair[0] for pair in measured])),
            (f"{mechanism.name}_shared", "shared", join([pair[1] for pair in measured])),
        )
    )
    return owner, shared


def _baselines(
    dataset: Dataset,
    parts: Split,
    bench: Bench,
    vectors: F32,
    teacher: Callable[[], F32] | None,
) -> Iterator[tuple[str, Callable[[], Scorer]]]:
    n, publisher = len(dataset.items), parts.publisher
    yield "popularity", lambda: baselines.popularity(publisher, n)
    yield "tfidf", lambda: baselines.tfidf(dataset.texts)
    yield "itemknn", lambda: baselines.itemknn(publisher, n)
    yield (
        "ease",
        lambda: baselines.ease(
            publisher, n, lambda devices: bench_of(devices, bench.popularity, vectors)
        ),
    )
    yield "zero_shot", lambda: baselines.cosine(vectors)
    if teacher is not None:
        yield "teacher", lambda: baselines.cosine(teacher())


def _line(row: Row) -> str:
    setting = "" if row.epsilon is None else f" epsilon {row.epsilon:g} {row.view}"
    return f"{row.name}{setting}: NDCG@10 {row.figures.ndcg:.4f}"
