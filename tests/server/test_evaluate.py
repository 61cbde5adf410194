"""What the evaluator measures is what a device would do, and the baselines are what they say."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ondevice.domain import Item
from ondevice.errors import ConfigError
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32
from ondevice.privacy.randomness import SystemRandomness
from ondevice.privacy.stream import StreamParameters
from ondevice.profile import simulate
from ondevice.profile.release import WEIGHT_MEAN, profile
from server_tools.evaluate import baselines, bias, command, ours, protocols, vectors
from server_tools.evaluate.data import Dataset, Device, split
from server_tools.evaluate.measure import Bench, join
from server_tools.evaluate.ours import Recommender, Releases
from tests.publishing import WordEncoder, small_space

N = 60
TOPICS = ("lamp", "kettle", "novel", "radio")


def world(*, people: int = 40, length: int = 12, popular: bool = False) -> tuple[Dataset, F32]:
    """People who like one kind of thing each; with `popular` all prefer the same few of it."""
    items = tuple(
        Item(id=str(n), title=f"{TOPICS[n % 4]} {TOPICS[n % 4]} number{n}") for n in range(N)
    )
    generator = np.random.default_rng(3)
    users = {}
    for person in range(people):
        pool = np.arange(person % 4, N, 4)
        weights = 1 / (1.0 + np.arange(len(pool))) ** 2 if popular else np.ones(len(pool))
        rows = generator.choice(pool, size=length, replace=False, p=weights / weights.sum())
        users[f"p{person:03d}"] = tuple(generator.permutation(rows).tolist())
    dataset = Dataset(name="world", items=items, users=users)
    return dataset, WordEncoder().encode(dataset.texts)


def recommender(space: Space | None = None) -> tuple[Dataset, Recommender]:
    dataset, found = world()
    nothing = np.zeros(N, dtype=np.float32)
    return dataset, Recommender.of(dataset, space or small_space(), found, nothing)


def device(*rows: int, held_out: Sequence[int] = ()) -> Device:
    return Device(user="someone", behaviours=rows, held_out=tuple(held_out))


def test_ease_is_the_closed_form() -> None:
    dataset, _ = world()
    histories = list(dataset.users.values())
    x = np.zeros((len(histories), N))
    for user, rows in enumerate(histories):
        x[user, list(rows)] = 1
    inverse = np.linalg.inv(x.T @ x + 10 * np.eye(N))
    b = -inverse / np.diag(inverse)
    np.fill_diagonal(b, 0)
    chosen = device(3, 7, 11)
    expected = b[[3, 7, 11]].sum(axis=0)
    np.testing.assert_allclose(
        baselines.Ease(histories, N, ridge=10.0)(chosen), expected, atol=1e-10
    )


def test_baselines_that_learn_prefer_what_people_like_them_chose() -> None:
    dataset, found = world()
    histories = list(dataset.users.values())
    made = [
        baselines.itemknn(histories, N),
        baselines.ease(histories, N, lambda some: protocols.bench_of(some, np.zeros(N), found)),
    ]
    for scorer in made:
        scores = scorer(device(1, 5, 9))
        others = np.delete(scores, [1, 5, 9])
        kind = np.delete(np.arange(N) % 4 == 1, [1, 5, 9])
        assert others[kind].mean() > others[~kind].mean() + 0.01


def test_baselines_that_read_prefer_the_same_words() -> None:
    dataset, found = world()
    for scorer in (baselines.tfidf(dataset.texts), baselines.cosine(found)):
        scores = scorer(device(2, 6))
        assert set(np.argsort(-scores)[:8] % 4) == {2}


def test_popularity_counts_people() -> None:
    assert baselines.popularity([(0, 2), (2,), (1, 2)], 4)(device()).tolist() == [1, 1, 3, 0]


def test_recent_behaviours_count_more() -> None:
    weights = baselines.decay(65)
    assert weights.sum() == pytest.approx(1)
    assert weights[-1] == pytest.approx(2 * weights[0])


def test_without_noise_a_profile_is_the_decayed_mean() -> None:
    dataset, made = recommender()
    rows = dataset.users["p001"]
    released = Releases(
        made, ours.factorised(small_space(), math.inf), np.random.default_rng(0)
    ).profile(rows)
    weights = baselines.decay(len(rows))
    np.testing.assert_allclose(
        released.u, weights @ made.catalogue.unit(list(rows)), atol=1.5e-4
    )  # the grid of 2^-14 truncates


@pytest.mark.parametrize("name", ["factorised", "fresh_noise", "single_release"])
def test_the_noise_is_as_strong_as_reported(name: str) -> None:
    dataset, made = recommender()
    rows = dataset.users["p001"]
    mechanism = getattr(ours, name)(small_space(), 4.0)
    releases = Releases(made, mechanism, np.random.default_rng(1))
    silent = Releases(made, ours.factorised(small_space(), math.inf), np.random.default_rng(1))
    exact = silent.profile(rows).v
    drawn = np.stack([releases.profile(rows).v - exact for _ in range(500)])
    assert drawn.std() == pytest.approx(math.sqrt(mechanism.noise_variance(len(rows))), rel=0.05)
    assert abs(drawn.mean()) < 5 * drawn.std() / math.sqrt(drawn.size)


def test_profiles_that_share_a_decoder_are_those_of_the_device() -> None:
    dataset, made = recommender()
    space = small_space()
    mechanism = ours.factorised(space, 4.0)
    releases = Releases(made, mechanism, np.random.default_rng(5))
    for rows in list(dataset.users.values())[:3]:
        fast = releases.profile(rows)
        decoded = simulate.decoded(mechanism.parameters, fast.v, len(rows))
        np.testing.assert_array_equal(fast.u, profile(decoded, space, weight_mean=1.0).u)


def test_the_streams_noise_is_bounded_for_ever() -> None:
    space = small_space()
    once = ours.single_release(space, 4.0)
    assert ours.factorised(space, 4.0).noise_std / once.noise_std <= 2.2
    assert ours.fresh_noise(space, 4.0).noise_std / once.noise_std == pytest.approx(6.83, abs=0.02)


def test_every_mechanism_costs_the_same() -> None:
    space = small_space()
    made = [f(space, 2.0) for f in (ours.factorised, ours.fresh_noise, ours.single_release)]
    for mechanism in made:
        assert mechanism.parameters.rho == pytest.approx(made[0].parameters.rho, rel=1e-9)


def test_score_users_takes_the_devices_own_path() -> None:
    dataset, found = world(people=60, length=14)
    space = small_space()
    told = list(
        ours.score_users(
            dataset, space, vectors=found, randomness=SystemRandomness(), users=4, epsilon=4.0
        )
    )
    assert [one.user for one in told] == [d.user for d in split(dataset).devices[:4]]
    made = Recommender.of(dataset, space, found, np.zeros(N, dtype=np.float32))
    parameters = StreamParameters.for_budget(4.0, 1e-6, space.dimension, half_life=64)
    for one in told:
        steps = made.steps[[int(item) for item in one.items]]
        y = np.array(one.rows, dtype=np.int64)
        z = y - simulate.released(parameters, steps, np.zeros_like(steps))
        v = simulate.values(parameters, steps, z)
        decoded = simulate.decoded(parameters, v, len(steps))
        again = made.scores(profile(decoded, space, weight_mean=WEIGHT_MEAN))
        np.testing.assert_allclose(one.scores, again, atol=1e-8)


def test_lists_rank_everything_and_leave_out_what_was_seen() -> None:
    _, found = world()
    one = device(0, 1, held_out=(2, 3))
    bench = Bench(devices=[one], popularity=np.zeros(N), vectors=found)
    owner, shared = bench.views(lambda _: -np.arange(N, dtype=np.float64))
    assert owner.lists[0][:3] == [2, 3, 4]
    assert shared.lists[0][:3] == [0, 1, 2]
    assert owner.total().ndcg == pytest.approx(1.0)
    assert owner.total().coverage == pytest.approx(10 / N)
    assert 0 < shared.total().ndcg < 1


def test_deciles_hold_every_device_once_by_length() -> None:
    dataset, found = world(people=35)
    devices = [
        Device(user=user, behaviours=rows[: 3 + n % 7], held_out=rows[10:])
        for n, (user, rows) in enumerate(dataset.users.items())
    ]
    bench = Bench(devices=devices, popularity=np.zeros(N), vectors=found)
    measured = bench.figures(baselines.cosine(found))
    deciles = measured.deciles()
    assert sum(decile.devices for decile in deciles) == 35
    assert all(a.most <= b.fewest for a, b in pairwise(deciles))
    mean = sum(d.figures.ndcg * d.devices for d in deciles) / 35
    assert mean == pytest.approx(measured.total().ndcg)
    twice = join([measured, measured])
    assert twice.total().ndcg == pytest.approx(measured.total().ndcg)
    assert twice.total().coverage == measured.total().coverage


def test_the_bias_follows_how_much_popularity_says() -> None:
    learned = []
    for popular in (False, True):
        dataset, found = world(people=80, popular=popular)
        made = Recommender.of(dataset, small_space(), found, np.zeros(N, dtype=np.float32))
        histories = list(dataset.users.values())
        learned.append(bias.learn(made, histories, seed=0))
        assert learned[-1].shape == (N,)
        counts = baselines.counts(histories, N)
        assert len(np.unique(learned[-1][counts == counts[0]])) == 1
    assert np.ptp(learned[1]) > np.ptp(learned[0])


def report(protocol: str = "users", **options: bool) -> protocols.Report:
    dataset, found = world(people=60)
    return protocols.run(
        dataset,
        protocol=protocol,
        space=small_space(),
        vectors=found,
        epsilons=[math.inf, 4.0],
        teacher=lambda: found,
        **options,  # type: ignore[arg-type]  # only booleans are given
    )


def test_a_report_has_every_row_and_key() -> None:
    document = json.loads(json.dumps(report(with_baselines=True).as_dict()))
    assert {"schema", "dataset", "protocol", "users", "items", "rows"} <= set(document)
    assert (document["users"], document["items"]) == (18, N)
    rows = document["rows"]
    assert [(row["name"], row["epsilon"], row["view"]) for row in rows] == [
        ("ours", "inf", "owner"),
        ("ours_shared", "inf", "shared"),
        ("ours", 4.0, "owner"),
        ("ours_shared", 4.0, "shared"),
        ("fresh_noise", 4.0, "owner"),
        ("single_release", 4.0, "owner"),
        *(
            (name, None, "owner")
            for name in ("popularity", "tfidf", "itemknn", "ease", "zero_shot", "teacher")
        ),
    ]
    wanted = {"ndcg@10", "hr@10", "recall@50", "coverage", "novelty", "diversity", "deciles"}
    for row in rows:
        assert wanted <= set(row)
        assert 0 <= row["ndcg@10"] <= 1
    assert all("noise_std" in row for row in rows[:6])


def test_the_same_seed_measures_the_same() -> None:
    assert report().as_dict() == report().as_dict()


def test_ours_finds_the_kind_that_a_person_likes() -> None:
    figures = {
        (row.name, row.epsilon): row.figures.ndcg for row in report(with_baselines=True).rows
    }
    assert figures["ours", math.inf] > 1.5 * figures["popularity", None]


def test_zero_shot_learns_nothing_from_the_publishers_users() -> None:
    dataset, found = world(people=60, popular=True)
    arguments = {"space": small_space(), "vectors": found, "epsilons": [math.inf]}
    plain = protocols.run(dataset, protocol="zero-shot", **arguments)  # type: ignore[arg-type]
    devices = {d.user for d in split(dataset).devices}
    forgotten = replace(
        dataset,
        users={u: r if u in devices else r[::-1] for u, r in dataset.users.items()},
    )
    other = protocols.run(forgotten, protocol="zero-shot", **arguments)  # type: ignore[arg-type]
    assert plain.rows[0].figures.ndcg == other.rows[0].figures.ndcg


def test_the_official_protocol_says_that_it_is_to_come() -> None:
    with pytest.raises(ConfigError, match="trains a head") as caught:
        report("official")
    assert "--protocol users" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "budgets"), [("inf", [math.inf]), ("1,4,inf,4", [math.inf, 4.0, 1.0]), ("0.5", [0.5])]
)
def test_budgets_are_read(text: str, budgets: list[float]) -> None:
    assert command.parse_epsilons(text) == budgets


@pytest.mark.parametrize("text", ["", "a", "0", "-1,4", "nan"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not positive"):
        command.parse_epsilons(text)


def test_the_table_names_every_row() -> None:
    made = report()
    lines = command.table(made)
    assert lines.startswith("world, users: 18 devices, 60 items")
    assert all(row.name in lines for row in made.rows)
    assert "single_release 4: 1.268" in lines


def test_texts_are_encoded_once(tmp_path: Path) -> None:
    encoder = WordEncoder()
    texts = ["a lamp", " ", "a much longer kettle"]
    first = vectors.cached(encoder, texts, tmp_path)
    assert encoder.encoded == 2
    np.testing.assert_array_equal(vectors.cached(encoder, texts, tmp_path), first)
    assert encoder.encoded == 2
    np.testing.assert_array_equal(first[[0, 2]], WordEncoder().encode([texts[0], texts[2]]))
    assert not first[1].any()
    vectors.cached(encoder, ["another"], tmp_path)
    assert encoder.encoded == 3


def test_films_give_the_published_figures(shared_data: Path) -> None:
    from server_tools.evaluate import data

    dataset = data.load(shared_data / "eval" / "ml100k")
    parts, n = split(dataset), len(dataset.items)
    counts = baselines.counts(parts.publisher, n)
    random = np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)
    bench = protocols.bench_of(parts.devices, counts, random)
    popular = bench.figures(baselines.popularity(parts.publisher, n)).total()
    learned = bench.figures(baselines.Ease(parts.publisher, n, ridge=100.0)).total()
    assert parts.minimum == 20
    assert popular.ndcg == pytest.approx(0.0884, abs=0.01)
    assert learned.ndcg == pytest.approx(0.1525, abs=0.01)
