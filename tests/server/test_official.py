"""The protocol `official`: what is read when, who are candidates, and that heads learn."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ondevice.domain import Item
from ondevice.errors import ConfigError
from ondevice.formats.space import Space
from ondevice.profile.interests import Interests, likeness
from server_tools.evaluate import official, official_data
from server_tools.evaluate.data import Dataset
from server_tools.evaluate.official_data import Row
from server_tools.head import interests_fit, interests_model, interests_train
from server_tools.head.interests_fit import FitRecipe
from server_tools.head.interests_train import InterestRecipe

N, WIDTH = 60, 16
opened: list[str] = []
watching = [False]


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if watching[0] and event == "open":
        opened.append(str(arguments[0]))


sys.addaudithook(_watch)


def vectors(seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(N, WIDTH)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def dataset() -> "Dataset":
    items = tuple(Item(id=f"i{k}", title=f"thing {k}", description="a thing") for k in range(N))
    return Dataset(name="made", items=items, users={})


def write(folder: Path, name: str, users: int, seed: int) -> None:
    """People go from an item to the one after it, most of the time."""
    generator = np.random.default_rng(seed)
    lines = []
    for user in range(users):
        at = int(generator.integers(N))
        history = [f"i{at}"]
        for _ in range(5):
            at = (at + 1) % N if generator.random() < 0.8 else int(generator.integers(N))
            row = {"user": f"{name}{user}", "history": list(history), "target": f"i{at}"}
            lines.append(json.dumps(row))
            history.append(f"i{at}")
    (folder / f"official_{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "valid", 120, 1)
    write(tmp_path, "test", 30, 2)
    return tmp_path


def recipe(**changes: object) -> "InterestRecipe":
    small = {"dimension": 16, "batch": 128, "epochs": 4, "residual_rates": (3e-2,), "rate": 1e-2}
    return InterestRecipe(**(small | changes))  # type: ignore[arg-type]


def run(folder: Path, **changes: object) -> "official.OfficialReport":
    return official.run(
        dataset(),
        folder,
        titles=vectors(),
        texts=vectors(1),
        recipe=recipe(),
        **({"seeds": 2} | changes),  # type: ignore[arg-type]
    )


def test_the_test_file_is_opened_once_and_after_the_last_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = interests_train.train

    def noted(*arguments: object, **named: object) -> object:
        opened.append("training begins")
        found = train(*arguments, **named)  # type: ignore[arg-type]
        opened.append("training ends")
        return found

    monkeypatch.setattr(interests_train, "train", noted)
    opened.clear()
    watching[0] = True
    try:
        run(folder, with_baselines=True)
    finally:
        watching[0] = False

    tests = [k for k, what in enumerate(opened) if what.endswith("official_test.jsonl")]
    ends = [k for k, what in enumerate(opened) if what == "training ends"]
    assert len(ends) == 4  # two kinds, two seeds
    assert len(tests) == 1
    assert tests[0] > max(ends)
    assert any(what.endswith("official_valid.jsonl") for what in opened[: ends[0]])


def test_other_test_rows_change_no_choice(folder: Path, tmp_path: Path) -> None:
    first = run(folder, seeds=1)
    write(tmp_path, "test", 30, 9)
    second = run(folder, seeds=1)
    assert first.choices == second.choices
    assert first.rows != second.rows


def test_heads_learn_what_follows_what(folder: Path) -> None:
    found = {row.name: row for row in run(folder, with_baselines=True, seeds=1).rows}
    best = max(found[name].mean["ndcg@10"] for name in ("popularity", "zero_shot", "tfidf"))
    for name in ("ours_exact", "ours"):
        assert found[name].mean["ndcg@10"] > best + 0.1
    assert set(found) == {
        "ours_exact",
        "ours",
        "popularity",
        "tfidf",
        "itemknn",
        "ease",
        "zero_shot",
    }


def test_the_same_seed_gives_the_same_figures(folder: Path) -> None:
    one, two = (run(folder, seeds=2).as_dict() for _ in range(2))
    assert one == two
    exact: Any = one["rows"][0]  # type: ignore[index]
    assert exact["min"]["ndcg@10"] <= exact["ndcg@10"] <= exact["max"]["ndcg@10"]
    assert "ours_exact" in official.table(run(folder, seeds=1))


def test_what_was_there_is_no_candidate_unless_it_comes_again() -> None:
    scores = np.array([5.0, 4.0, 3.0, 3.0, 2.0])
    assert official.position(scores, Row(user="u", history=(0, 1), target=4)) == 2
    assert official.position(scores, Row(user="u", history=(4,), target=4)) == 4
    assert official.position(scores, Row(user="u", history=(0, 1, 0), target=0)) == 0
    assert official.position(scores, Row(user="u", history=(4,), target=3)) == 3  # equal: by row
    assert official.position(scores, Row(user="u", history=(2,), target=3)) == 2


def test_figures_of_known_places() -> None:
    found = official.figures([0, 2, 4, 12])
    assert found["hr@3"] == 0.5
    assert found["hr@5"] == found["hr@10"] == 0.75
    assert found["ndcg@3"] == pytest.approx((1 + 0.5) / 4)
    assert found["ndcg@10"] == pytest.approx((1 + 0.5 + 1 / np.log2(6)) / 4)
    assert official.figures([])["hr@3"] == 0.0


def test_rows_of_one_user_make_one_sequence() -> None:
    rows = [
        Row(user="a", history=(1,), target=2),
        Row(user="a", history=(1, 2), target=3),
        Row(user="b", history=(7,), target=8),
        Row(user="a", history=(2, 3), target=4),  # the oldest end is gone
        Row(user="b", history=(9,), target=1),  # starts anew
    ]
    assert sorted(official_data.sequences(rows)) == [(1, 2, 3, 4), (7, 8), (9, 1)]


def test_tuning_users_are_an_eighth_and_apart() -> None:
    rows = [Row(user=f"u{k % 80}", history=(1,), target=2) for k in range(400)]
    learn, tuning = official_data.split(rows)
    assert len({row.user for row in tuning}) == 10
    assert not {row.user for row in tuning} & {row.user for row in learn}
    assert len(learn) + len(tuning) == 400
    assert official_data.split(rows)[1] == tuning
    assert official_data.split(rows, seed=1)[1] != tuning


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"user": "a", "history": ["i1"]}',
        '{"user": "a", "history": [], "target": "i1"}',
        '{"user": "a", "history": ["none"], "target": "i1"}',
    ],
)
def test_malformed_rows_are_refused(folder: Path, line: str) -> None:
    (folder / "official_valid.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1"):
        run(folder)


def test_a_folder_without_the_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"official_valid\.jsonl"):
        run(tmp_path)


@pytest.mark.parametrize("several", [True, False])
def test_the_device_s_arithmetic_is_that_of_the_training(several: bool) -> None:
    torch.manual_seed(0)
    texts = interests_train.inputs([vectors(), vectors(1)], dimension=16)
    head = interests_model.InterestHead(
        texts, np.arange(N, dtype=np.float32), last=10, several=several, dropout=0.3
    ).eval()
    with torch.no_grad():
        for weights in (head.residual, head.query, head.bias):
            weights.add_(0.3 * torch.randn(weights.shape))
        past = torch.tensor([[-1] * 6 + [3, 9, 3, 40], [-1] * 9 + [5]])
        expected = head(past).numpy()
    found = official.scorer(interests_train._frozen(head, 0.0, 1))
    for said, history in zip(expected, [(3, 9, 3, 40), (5,)], strict=True):
        ours = found(Row(user="u", history=history, target=0))
        assert ours == pytest.approx(said, abs=0.15)  # int8 codes
        assert np.corrcoef(ours, said)[0, 1] > 0.999


def test_examples_both_ways_are_each_there_once() -> None:
    found = interests_model.examples([(1, 2, 3), (1, 2)], last=2, both_ways=True)
    pairs = {(tuple(p), w) for p, w in zip(found.past.tolist(), found.wanted.tolist(), strict=True)}
    assert pairs == {
        ((-1, 1), 2),
        ((1, 2), 3),
        ((-1, 3), 2),
        ((3, 2), 1),
        ((-1, 2), 1),
    }
    one_way = interests_model.examples([(1, 2, 3), (1, 2)], last=2, both_ways=False)
    assert len(one_way) == 2


def test_too_little_to_learn_from_is_refused() -> None:
    with pytest.raises(ConfigError, match="too few"):
        interests_train.train(vectors(), [(1, 2)], [(2, 3)], lambda _: 0.0, recipe=recipe())


def test_a_space_learns_how_deeds_speak_and_its_items_stay() -> None:
    generator = np.random.default_rng(0)
    turn = np.linalg.qr(generator.normal(size=(WIDTH, WIDTH)))[0]
    items = vectors()
    follower = (items @ turn @ items.T).argmax(axis=1)  # what a deed asks for is turned away
    people = []
    for _ in range(150):
        at, rows = int(generator.integers(N)), []
        for _ in range(6):
            rows.append(at)
            at = int(follower[at])
        people.append(tuple(rows))
    before = space_of(WIDTH)
    recipe = FitRecipe(epochs=15, batch=64, rate=3e-2, pull=0.0)
    after = interests_fit.attach(before, items, np.zeros(N, np.float32), people, recipe=recipe)

    assert after.interests is not None
    assert before.interests is None
    assert after.projection is before.projection
    learned = Interests.of(after.interests)
    plain = replace(learned, query=np.eye(WIDTH))
    hits = {
        name: np.mean(
            [
                likeness(one, items[[at]], items).argsort()[::-1][:5].tolist().count(follower[at])
                for at in range(N)
            ]
        )
        for name, one in (("learned", learned), ("plain", plain))
    }
    assert hits["learned"] > hits["plain"] + 0.3


def test_a_space_whose_users_are_few_stays_as_it_is() -> None:
    space = space_of(WIDTH)
    bias = np.zeros(N, np.float32)
    assert interests_fit.attach(space, vectors(), bias, [(1, 2)] * 3) is space


def space_of(d: int) -> Space:
    return Space(
        name="made",
        encoder="ab" * 32,
        centre=np.zeros(WIDTH, dtype=np.float32),
        projection=np.eye(d, WIDTH, dtype=np.float32),
        half_life=64,
        temperature=8.0,
        mean=np.zeros(d, dtype=np.float32),
        between=np.eye(d, dtype=np.float32),
        within=np.eye(d, dtype=np.float32),
    )
