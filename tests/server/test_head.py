"""A head: what it learns, what it keeps, and that a device computes the same."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ondevice.domain import Item, Scenario
from ondevice.errors import ConfigError
from ondevice.formats import space as spaces
from ondevice.formats.tensors import F32
from ondevice.privacy.decoder import decode, noise_variance
from ondevice.privacy.randomness import SystemRandomness
from ondevice.privacy.stream import StreamParameters
from ondevice.profile import network
from ondevice.profile.release import profile
from ondevice.profile.words import weight_of
from ondevice.ranking.score import scores
from server_tools.embed import local
from server_tools.evaluate import baselines, ours, protocols
from server_tools.evaluate.data import Dataset, split
from server_tools.evaluate.ours import Recommender, Releases
from server_tools.head import judge, learned, task, train_command, trainer
from server_tools.head.batches import Histories, Noise
from server_tools.head.learned import Learned
from server_tools.head.model import Head, Inputs, Shape
from server_tools.head.trainer import HeadRecipe
from tests.publishing import WordEncoder

N, KINDS = 60, 4
TOPICS = ("lamp", "kettle", "novel", "radio")
QUICK = HeadRecipe(
    dimensions=(8,), batch=32, steps=60, most_epochs=30, held_out_bounds=(10, 20), checks=4
)


def world(*, people: int = 80, length: int = 12) -> tuple[Dataset, F32]:
    """People who like two kinds of thing that have no word in common: 0 with 1, and 2 with 3."""
    items = tuple(Item(id=str(n), title=f"{TOPICS[n % 4]} number{n}") for n in range(N))
    generator = np.random.default_rng(3)
    users = {}
    for person in range(people):
        pool = np.flatnonzero(np.arange(N) % 4 // 2 == person % 2)
        users[f"p{person:03d}"] = tuple(generator.choice(pool, length, replace=False).tolist())
    dataset = Dataset(name="world", items=items, users=users)
    return dataset, WordEncoder().encode(dataset.texts)


def fit(recipe: HeadRecipe = QUICK, keep: Learned | None = None) -> Learned:
    dataset, vectors = world()
    return task.fit(
        [item.id for item in dataset.items],
        vectors,
        split(dataset).publisher,
        encoder=WordEncoder().digest,
        recipe=recipe,
        keep=keep,
    )


@pytest.fixture(scope="module")
def head() -> Learned:
    return fit()


def test_it_learns_what_texts_do_not_say(head: Learned) -> None:
    dataset, vectors = world()
    report = protocols.run(
        dataset,
        protocol="users",
        space=head.space,
        vectors=vectors,
        epsilons=[math.inf, 8.0],
        head=head,
        with_baselines=True,
    )
    found = {(row.name, row.epsilon): row.figures.ndcg for row in report.rows}
    assert found["ours", math.inf] > 1.3 * found["popularity", None]
    assert {"ours_cold", "ours_text", "ours_shared"} <= {row.name for row in report.rows}
    assert found["ours", 8.0] > 0


def test_the_same_data_gives_the_same_head(head: Learned) -> None:
    again = fit()
    assert again.space.digest == head.space.digest
    assert again.bias.tobytes() == head.bias.tobytes()


def test_a_device_computes_what_was_trained() -> None:
    dataset, vectors = world()
    counts = baselines.counts(list(dataset.users.values()), N)
    made = Head(
        Inputs(text=vectors, counts=counts),
        Shape(dimension=8),
        start=np.eye(8, vectors.shape[1], dtype=np.float32),
    )
    made.calibrate(torch.tensor([0.3, 0.8]), 1.5)
    space = replace(
        fit_space(made, vectors.shape[1]), decoder=spaces.DecoderNetwork(weights=made.network())
    )
    generator = np.random.default_rng(0)
    for weight, noise in [(0.0, 0.0), (4.0, 0.0), (12.0, 2.5), (30.0, 40.0)]:
        v = generator.standard_normal(8) * weight
        prior, gain = network.linearised(space, v, weight, noise)
        told = made.user(
            torch.tensor(v[None], dtype=torch.float32),
            torch.tensor([weight]),
            torch.tensor([noise]),
        )
        expected = told[0].detach().numpy()
        np.testing.assert_allclose(prior + gain @ v, expected, atol=2e-5)


def fit_space(made: Head, width: int) -> spaces.Space:
    d = made.shape.dimension
    return spaces.Space(
        name="t",
        encoder="0" * 64,
        centre=np.zeros(width, dtype=np.float32),
        projection=np.zeros((d, width), dtype=np.float32),
        half_life=64,
        temperature=1.0,
        mean=np.zeros(d, dtype=np.float32),
        between=np.eye(d, dtype=np.float32),
        within=np.eye(d, dtype=np.float32),
    )


def test_items_of_a_build_are_the_items_that_were_trained(head: Learned) -> None:
    _, vectors = world()
    placed = head.space.project(vectors, head.residual)
    assert np.linalg.norm(placed, axis=1) == pytest.approx(np.ones(N), abs=1e-5)
    shared = placed @ placed.T
    same = np.arange(N)[:, None] % 4 // 2 == np.arange(N)[None] % 4 // 2
    assert shared[same].mean() > shared[~same].mean() + 0.2


def test_its_training_noise_is_that_of_the_stream() -> None:
    noise = Noise(8, 64)
    for epsilon in (0.5, 4.0):
        parameters = StreamParameters.for_budget(epsilon, 1e-6, 8, half_life=64)
        for steps in (1, 7, 300):
            expected = math.sqrt(noise_variance(parameters, steps))
            got = float(noise.at(epsilon, torch.tensor([steps]))[0])
            assert got == pytest.approx(expected, rel=1e-5)
    assert noise.at(math.inf, torch.tensor([5])).tolist() == [0.0]
    torch.manual_seed(0)
    drawn = noise.draw(torch.full((4000,), 20))
    assert 0.15 < float((drawn == 0).float().mean()) < 0.35
    assert noise.draw(torch.zeros(50, dtype=torch.long)).tolist() == [0.0] * 50


def test_histories_are_cut_in_time() -> None:
    people = Histories.of([range(10), range(20, 26)], half_life=4)
    batch = people.cut([0, 1], at=0.8)
    assert batch.steps.tolist() == [8, 4]
    assert batch.past[0].tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert batch.past[1, :4].tolist() == [23, 22, 21, 20]
    assert batch.weights[1].tolist()[:5] == pytest.approx([1, 2**-0.25, 2**-0.5, 2**-0.75, 0])
    assert batch.wanted.tolist() == [[8, 9], [24, 25]]
    short = people.first([0], 4)
    assert (short.steps.tolist(), short.wanted.tolist()) == ([4], [[4]])
    torch.manual_seed(1)
    for _ in range(50):
        some = people.cut([0])
        place = int(some.steps[0])
        assert 0 <= place < 10
        assert some.wanted[0, 0] == place


def test_a_table_says_what_to_expect(head: Learned) -> None:
    rows = head.space.quality
    assert [(row.behaviours, row.epsilon) for row in rows] == [
        (behaviours, epsilon) for behaviours in (5, 10) for epsilon in (0.5, 1.0, 2.0, 4.0, 8.0)
    ]
    assert all(0 < row.ndcg <= 1 for row in rows)


def test_it_is_kept_on_disk_and_found_again(head: Learned, tmp_path: Path) -> None:
    learned.write(head, tmp_path / "a")
    learned.write(head, tmp_path / "b")
    again = learned.read(tmp_path / "a")
    assert again.space.digest == head.space.digest
    assert again.ids == head.ids
    assert (tmp_path / "a" / "items.npz").read_bytes() == (
        tmp_path / "b" / "items.npz"
    ).read_bytes()
    residual, bias = again.of(["3", "unknown"])
    assert residual[0].tolist() == head.residual[3].tolist()
    assert not residual[1].any()
    assert bias.tolist() == [head.bias[3], head.bias.min()]


def test_items_of_another_space_are_refused(head: Learned, tmp_path: Path) -> None:
    learned.write(head, tmp_path)
    spaces.write(replace(head.space, temperature=3.0), tmp_path)
    with pytest.raises(ConfigError, match="another space"):
        learned.read(tmp_path)
    (tmp_path / "items.npz").write_bytes(b"PK")
    with pytest.raises(ConfigError, match="cannot read the items"):
        learned.read(tmp_path)


def test_it_is_trained_once(tmp_path: Path) -> None:
    dataset, vectors = world()
    said: list[str] = []
    found = [
        task.cached(
            [item.id for item in dataset.items],
            vectors,
            split(dataset).publisher,
            encoder=WordEncoder().digest,
            texts=dataset.texts,
            recipe=replace(QUICK, steps=12),
            work=tmp_path,
            say=said.append,
        )
        for _ in range(2)
    ]
    assert found[0].digest == found[1].digest
    assert weight_of(found[1].space) >= 0.0
    assert found[1].space.lexical is not None
    assert sum(line.startswith("head: training") for line in said) == 1
    assert len(list((tmp_path / "heads").iterdir())) == 1


def test_a_sample_of_the_items_teaches_too() -> None:
    found = fit(replace(QUICK, whole=20, sampled=30))
    dataset, vectors = world()
    residual, bias = found.of([item.id for item in dataset.items])
    made = Recommender.of(dataset, found.space, vectors, bias, residual=residual)
    releases = Releases(made, ours.factorised(found.space, math.inf), np.random.default_rng(0))
    scores = releases.scores([0, 4, 8])
    friends = np.arange(N) % 4 // 2 == 0
    assert scores[friends].mean() > scores[~friends].mean()


def test_a_head_that_keeps_another_moves_its_items_less(head: Learned) -> None:
    _, vectors = world()
    before = head.space.project(vectors, head.residual)
    moved = []
    for keep in (None, head):
        again = fit(replace(QUICK, seed=1), keep=keep)
        moved.append(float((again.space.project(vectors, again.residual) * before).sum(1).mean()))
    assert moved[1] > 0.9
    assert moved[1] > moved[0]


def test_a_head_of_another_encoder_is_not_kept(head: Learned) -> None:
    other = replace(head, space=replace(head.space, encoder="1" * 64))
    with pytest.raises(ConfigError, match="another encoder"):
        fit(keep=other)


def test_too_few_users_are_refused() -> None:
    with pytest.raises(ConfigError, match="too few to train"):
        trainer.train(
            np.eye(9, dtype=np.float32),
            [(1, 2)] * 7,
            encoder="0" * 64,
            recipe=QUICK,
        )


def test_taste_that_says_nothing_loses_its_weight() -> None:
    """Calibration sees that these users follow popularity alone."""
    torch.manual_seed(0)
    generator = np.random.default_rng(2)
    counts = np.arange(N, dtype=np.float64) ** 2 + 1
    made = Head(
        Inputs(
            text=generator.standard_normal((N, 12)).astype(np.float32),
            counts=counts,
        ),
        Shape(dimension=8),
        start=generator.standard_normal((8, 12)).astype(np.float32),
    ).eval()
    histories = [
        generator.choice(N, 20, replace=False, p=counts / counts.sum()).tolist() for _ in range(60)
    ]
    people = Histories.of(histories, 64)
    by_share, popular = judge.calibration(made, Noise(8, 64), people.cut(range(60), at=0.8))
    assert popular > 1.2
    assert float(torch.nn.functional.softplus(by_share.sum())) < 0.8


def test_scores_through_a_build_are_those_of_the_evaluator(head: Learned, tmp_path: Path) -> None:
    dataset, vectors = world()
    local.build(
        dataset.items,
        encoder=WordEncoder(),
        into=head.space,
        details=local.Details(catalogue="world", scenario=Scenario.CONTENT, title="World"),
        out=tmp_path / "build",
        head=head,
    )
    catalogue = local.load(tmp_path / "build", lambda: head.space)
    residual, popular = head.of([item.id for item in dataset.items])
    told = list(
        ours.score_users(
            dataset,
            head.space,
            vectors=vectors,
            randomness=SystemRandomness(),
            residual=residual,
            bias=popular,
        )
    )
    assert len(told) == 20
    parameters = StreamParameters.for_budget(4.0, 1e-6, head.space.dimension, half_life=64)
    for one in told:
        released = profile(decode(parameters, one.rows), catalogue.space)
        got = scores(
            released.u,
            catalogue.codes,
            catalogue.inverse_norms,
            catalogue.bias,
            released.temperature,
        )
        rows = [catalogue.records.row(item.id) for item in dataset.items]
        np.testing.assert_allclose(got[rows], one.scores, atol=1e-5)


def test_a_build_takes_no_residuals_of_another_space(head: Learned, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another space"):
        local.build(
            world()[0].items,
            encoder=WordEncoder(),
            into=replace(head.space, temperature=2.0),
            details=local.Details(catalogue="w", scenario=Scenario.CONTENT, title="W"),
            out=tmp_path / "build",
            head=head,
        )


def test_two_data_sets_make_one() -> None:
    dataset, _ = world()
    other = replace(dataset, items=tuple(replace(item, id=f"b{item.id}") for item in dataset.items))
    ids, histories = train_command.joined([dataset, other])
    assert ids[N] == "b0"
    assert histories[80] == tuple(N + row for row in histories[0])
    with pytest.raises(ConfigError, match="same id"):
        train_command.joined([dataset, dataset])
