"""The protocol `official`: a published split, several seeds, and a test file read once.

Heads are trained and chosen on `official_valid.jsonl`; when the last of them is fixed the test
file is read, and every recommender is scored on it in one go. Candidates are all items but those
of a row's history, unless one is the target: so what is bought again counts, and is easy to find;
the share of such rows and the figures without them are told beside.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ondevice.formats.tensors import F32
from ondevice.profile import interests
from server_tools.evaluate import baselines
from server_tools.evaluate.data import Dataset, Device
from server_tools.evaluate.measure import F64, Bench
from server_tools.evaluate.official_data import Row, read_test, read_valid, sequences, split
from server_tools.head import interests_train
from server_tools.head.interests_train import InterestRecipe, TrainedInterests

SEEDS = 5
PLACES = (3, 5, 10)
DEEDS_READ = 10  # of a history; the data has no more
Scorer = Callable[[Row], F64]  # (n,) scores of all items
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialRow:
    """One recommender; of several seeds, the mean and the extremes."""

    name: str
    mean: Mapping[str, float]
    least: Mapping[str, float]
    most: Mapping[str, float]
    seeds: int

    def as_dict(self) -> dict[str, object]:
        """The JSON form."""
        return {
            "name": self.name,
            "seeds": self.seeds,
            **dict(self.mean),
            "min": dict(self.least),
            "max": dict(self.most),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialReport:
    """What one run measured."""

    dataset: str
    items: int
    valid_rows: int
    test_rows: int
    repeats: float  # share of test rows whose target is in the history
    rows: tuple[OfficialRow, ...]
    choices: tuple[Mapping[str, object], ...] = field(default=())

    def as_dict(self) -> dict[str, object]:
        """The JSON document."""
        return {
            "schema": 1,
            "dataset": self.dataset,
            "protocol": "official",
            "items": self.items,
            "valid_rows": self.valid_rows,
            "test_rows": self.test_rows,
            "repeats": round(self.repeats, 6),
            "rows": [row.as_dict() for row in self.rows],
            "choices": [dict(choice) for choice in self.choices],
        }


def run(
    dataset: Dataset,
    folder: Path,
    *,
    titles: F32,
    texts: F32,
    seeds: int = SEEDS,
    seed: int = 0,
    recipe: InterestRecipe | None = None,
    teacher: Callable[[], F32] | None = None,
    with_baselines: bool = False,
    say: Say = lambda _: None,
) -> OfficialReport:
    """Train and choose on the valid rows, then score once on the test rows.

    Args:
        dataset: n items.
        folder: where both files of the split are.
        titles: (n, e), encoder vectors of the titles alone.
        texts: (n, e), of the whole texts.
        seeds: how many heads of each kind are trained.
        seed: the first of them; it also decides who the tuning users are.
        recipe: of the heads.
        teacher: makes the teacher's vectors (n, e).
        with_baselines: measure them too.
        say: told what is going on.

    Raises:
        ConfigError: a file is missing or malformed, or there is too little to learn from.
    """
    rows = {item.id: row for row, item in enumerate(dataset.items)}
    valid = read_valid(folder, rows)
    learn, tuning = split(valid, seed=seed)
    base = recipe or InterestRecipe()
    whole = interests_train.inputs([titles, texts], dimension=base.dimension)
    made: list[tuple[str, Sequence[Scorer]]] = []
    choices: list[dict[str, object]] = []
    for name, several in (("ours_exact", True), ("ours", False)):
        heads = []
        for number in range(seed, seed + seeds):
            say(f"{name}, seed {number}")
            head = interests_train.train(
                whole,
                sequences(learn),
                sequences(tuning),
                lambda one: figures([position(scorer(one)(row), row) for row in tuning])["ndcg@10"],
                recipe=replace(base, several=several, seed=number),
                say=say,
            )
            heads.append(scorer(head))
            choices.append(
                {
                    "name": name,
                    "seed": number,
                    "residual_rate": head.residual_rate,
                    "epochs": head.epochs,
                    "tuning_ndcg@10": round(max(value for *_, value in head.curve), 6),
                }
            )
        made.append((name, heads))
    if with_baselines:
        for name, make in _baselines(dataset, valid, texts, teacher):
            say(name)
            made.append((name, [make()]))
    return _score(dataset, folder, rows, valid, made, choices, say)


def table(report: OfficialReport) -> str:
    """Lay the report out for people."""
    names = [f"{kind}@{k}" for k in PLACES for kind in ("hr", "ndcg")]
    lines = [
        f"{report.dataset}, official: {report.test_rows} rows, {report.items} items, "
        f"{report.repeats:.1%} of the targets are in the history",
        f"{'':12}" + "".join(f"{name:>9}" for name in names) + f"{'min-max of ndcg@10':>22}",
    ]
    for row in report.rows:
        figures_ = "".join(f"{row.mean[name]:9.4f}" for name in names)
        extremes = f"{row.least['ndcg@10']:.4f}-{row.most['ndcg@10']:.4f}"
        lines.append(f"{row.name:12}{figures_}{extremes if row.seeds > 1 else '':>22}")
    return "\n".join(lines)


def scorer(head: TrainedInterests) -> Scorer:
    """Return what a device would say, in NumPy, from codes, the bias and the space's arrays."""
    vectors = head.codes.unit().astype(np.float64)
    if head.several:
        return lambda row: interests.scores(
            head.interests, vectors[list(row.history[-DEEDS_READ:])], vectors, head.bias
        )
    return lambda row: interests.one_vector(
        head.interests, vectors[list(row.history[-DEEDS_READ:])], vectors, head.bias
    )


def position(scores: F64, row: Row) -> int:
    """Return the place of the target among the candidates, from 0; equal scores by row."""
    level = scores[row.target]
    ahead = scores > level
    ahead[: row.target] |= scores[: row.target] == level
    ahead[list(row.left_out)] = False
    return int(ahead.sum())


def figures(places: Sequence[int]) -> dict[str, float]:
    """Return hit rate and NDCG of places of targets, one for each row."""
    at = np.asarray(places)
    found = {}
    for k in PLACES:
        within = at < k
        found[f"hr@{k}"] = float(within.mean()) if len(at) else 0.0
        gains = np.where(within, 1 / np.log2(at + 2.0), 0.0)
        found[f"ndcg@{k}"] = float(gains.mean()) if len(at) else 0.0
    return found


def _score(
    dataset: Dataset,
    folder: Path,
    rows: Mapping[str, int],
    valid: Sequence[Row],
    made: Sequence[tuple[str, Sequence[Scorer]]],
    choices: Sequence[Mapping[str, object]],
    say: Say,
) -> OfficialReport:
    """Read the test file, which nothing did before, and score everything that was made."""
    test = read_test(folder, rows)
    again = np.array([row.repeats for row in test])
    found = []
    for name, scorers in made:
        every = []
        for one in scorers:
            places = np.array([position(one(row), row) for row in test])
            new = {f"new_{key}": value for key, value in figures(places[~again].tolist()).items()}
            every.append(figures(places.tolist()) | new)
        found.append(
            OfficialRow(
                name=name,
                mean=_over(np.mean, every),
                least=_over(np.min, every),
                most=_over(np.max, every),
                seeds=len(every),
            )
        )
        say(f"{name}: NDCG@10 {found[-1].mean['ndcg@10']:.4f}, HR@10 {found[-1].mean['hr@10']:.4f}")
    return OfficialReport(
        dataset=dataset.name,
        items=len(dataset.items),
        valid_rows=len(valid),
        test_rows=len(test),
        repeats=float(again.mean()),
        rows=tuple(found),
        choices=tuple(choices),
    )


def _over(
    how: Callable[[list[float]], float], every: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    return {key: round(float(how([one[key] for one in every])), 6) for key in every[0]}


def _baselines(
    dataset: Dataset,
    valid: Sequence[Row],
    texts: F32,
    teacher: Callable[[], F32] | None,
) -> list[tuple[str, Callable[[], Scorer]]]:
    n, known = len(dataset.items), [tuple(dict.fromkeys(s)) for s in sequences(valid)]

    def of(make: Callable[[], Callable[[Device], F64]]) -> Callable[[], Scorer]:
        def made() -> Scorer:
            score = make()
            return lambda row: score(Device(user=row.user, behaviours=row.history, held_out=()))

        return made

    def ridge(judged: Sequence[Device]) -> Bench:
        return Bench(devices=judged, popularity=np.ones(n), vectors=texts)

    found = [
        ("popularity", of(lambda: baselines.popularity(known, n))),
        ("tfidf", of(lambda: baselines.tfidf(dataset.texts))),
        ("itemknn", of(lambda: baselines.itemknn(known, n))),
        ("ease", of(lambda: baselines.ease(known, n, ridge))),
        ("zero_shot", of(lambda: baselines.cosine(texts))),
    ]
    if teacher is not None:
        found.append(("teacher", of(lambda: baselines.cosine(teacher()))))
    return found
