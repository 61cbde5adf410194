"""The steps from scores to a list, one by one: what each promises, on orders made by hand."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from ondevice.config import Ranking
from ondevice.domain import Item
from ondevice.ranking import diversify
from ondevice.ranking.features import feature_shares, told
from ondevice.ranking.picks import Pick, picked
from ondevice.ranking.rules import Rule, Rules
from ondevice.ranking.traits import age_of, series_of, source_of, title_of


def item(title: str = "A thing", **fields: object) -> Item:
    return Item(id=title, title=title, **fields)  # type: ignore[arg-type]


# --- what an item is -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Toy Story", "Toy Story 2"),
        ("Rocky II", "Rocky IV"),
        (
            "The Fellowship (The Lord of the Rings, #1)",
            "The Two Towers (The Lord of the Rings, #2)",
        ),
        ("Star Trek: First Contact", "Star Trek: Generations"),
        ("Cooking, Volume 3", "Cooking, Volume 12"),
        ("Dune: Part One", "Dune"),
        ("Talks about Bees, Episode 4", "Talks about bees — Episode 5"),
    ],
)
def test_one_series(one: str, other: str) -> None:
    assert series_of(item(one)) == series_of(item(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [("Toy Story", "Short Story"), ("2001", "1984"), ("M", "Z"), ("Up", "Up in the Air")],
)
def test_no_series(one: str, other: str) -> None:
    assert series_of(item(one)) != series_of(item(other))


def test_tags_say_it_first() -> None:
    assert series_of(item("Anything", tags=("series:Blue Nights",))) == "blue nights"
    assert source_of(item(tags=("source:The Mill",), url="https://a.example/b")) == "the mill"
    assert source_of(item(url="https://user@News.Example:8080/a?b")) == "news.example"
    assert source_of(item()) == ""


@pytest.mark.parametrize(
    ("tags", "age"),
    [
        ((), None),
        (("drama",), None),
        (("16+",), 16),
        (("age:12", "FSK 16"), 16),
        (("PEGI 18",), 18),
        (("nsfw",), 18),
    ],
)
def test_ages(tags: tuple[str, ...], age: int | None) -> None:
    assert age_of(item(tags=tags)) == age


def test_titles_of_twins() -> None:
    assert title_of(item("Café Müller (Remastered) [HD]")) == title_of(item("cafe muller"))


# --- rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ("horror", True),
        ("category:Horror", True),
        ("tag:horror", False),
        ("slow", True),
        ("source:films.example", True),
        ("series:The Long Night", True),
        ("title:long", True),
        ("title:short", False),
        ("id:The Long Night 2", True),
    ],
)
def test_rules_name_what_they_mean(rule: str, fits: bool) -> None:
    film = item(
        "The Long Night 2", category="Horror", tags=("slow",), url="https://films.example/9"
    )
    assert Rule.of(rule).matches(film) is fits
    assert str(Rule.of(rule)) == rule


def test_each_refusal_says_which_rule_it_was() -> None:
    rules = Rules.of(
        Ranking(price_min=5, price_max=50, age_limit=12, allow=("a", "b"), deny=("category:b",)),
        muted=[Rule(field="tag", value="loud")],
    )
    fine: dict[str, Any] = {"category": "a", "price": 10.0}
    assert rules.refusal(item(**fine)) == ""
    assert rules.refusal(item(category="a")) == ""  # without a price, and without an age
    assert "muted tag:loud" in rules.refusal(item(**fine, tags=("loud",)))
    assert "category:b" in rules.refusal(item(category="b"))
    assert "allow" in rules.refusal(item(category="c"))
    assert "less than 5" in rules.refusal(item(category="a", price=4.0))
    assert "more than 50" in rules.refusal(item(category="a", price=51.0))
    assert "for 16" in rules.refusal(item(**fine, tags=("16+",)))
    assert Rules().empty
    assert not rules.empty


# --- features ------------------------------------------------------------------------------------


def test_features_reach_from_minus_one_to_one_and_are_nothing_where_nothing_is_known() -> None:
    items = [item(rating=5.0, date="2026-01-01"), item(rating=2.0, date="2023"), item()]
    bias = np.array([0.2, -0.2, 0.0], dtype=np.float32)
    ranking = Ranking(rating=1.0, recency=1.0, popularity=1.0, novelty=1.0)
    shares = feature_shares(items, np.arange(3), bias, ranking, spread=2.0, today=date(2026, 1, 1))

    assert shares[:, 0] == pytest.approx([2.0, -2.0, 0.0])
    assert shares[:, 1] == pytest.approx([2.0, 1.0, 0.0], abs=0.01)
    assert shares[0, 2] == -shares[1, 2] > 0
    assert shares[0, 3] == 0.0
    assert shares[1, 3] == -shares[1, 2]
    assert [one.name for one in told(items[0], shares[0])] == ["rating", "recency", "popularity"]
    assert not feature_shares(items, np.arange(3), bias, Ranking(), spread=2.0, today=None).any()


def test_picks_add_to_what_is_near_and_fade() -> None:
    codes = np.array([[127, 0], [0, 127], [90, 90], [-127, 0]], dtype=np.int8)
    norms = (1 / np.linalg.norm(codes.astype(float), axis=1)).astype(np.float32)
    picks = [Pick(label="east", vector=np.array([1.0, 0.0]))]
    (new,) = picked(picks, codes, norms, spread=1.0, steps=0)
    (old,) = picked(picks, codes, norms, spread=1.0, steps=20)

    assert new[0] > new[2] > 0
    assert new[3] == 0.0
    assert old == pytest.approx(new / 2)
    both = list(
        picked(
            [*picks, Pick(label="north", vector=np.array([0.0, 1.0]))],
            codes,
            norms,
            spread=1.0,
            steps=0,
        )
    )
    assert all((both[0] == 0) | (both[1] == 0))  # an item takes the nearer one alone


# --- unlike ones ---------------------------------------------------------------------------------


def units(*angles: float) -> np.ndarray:
    return np.array([[np.cos(a), np.sin(a)] for a in angles])


def test_twins_are_one() -> None:
    vectors = units(0.0, 0.3, 0.001, 1.5)
    assert diversify.twins(["a", "a", "b", "a"], vectors) == [-1, 0, 0, -1]
    assert diversify.twins(["a", "a", "b", "a"], vectors, first={1})[:2] == [1, -1]


@pytest.mark.parametrize("way", [diversify.mmr, diversify.determinantal])
def test_unlike_ones_come_forward(way: object) -> None:
    scores = np.array([3.0, 2.9, 2.8, 2.5, 0.0])
    vectors = units(0.0, 0.01, 0.02, 1.5, 0.5)
    assert way(scores, vectors, weight=0.0, count=5) == [0, 1, 2, 3, 4]  # type: ignore[operator]
    order = way(scores, vectors, weight=0.6, count=3)  # type: ignore[operator]
    assert order[:2] == [0, 3]
    assert sorted(order) == [0, 1, 2, 3, 4]


def test_what_stands_above_counts() -> None:
    scores, vectors = np.array([3.0, 2.9, 0.0]), units(0.0, 1.5, 3.0)
    assert diversify.mmr(scores, vectors, weight=0.6, count=2)[0] == 0
    assert diversify.mmr(scores, vectors, weight=0.6, count=2, before=units(0.0))[0] == 1


def test_spacing_lets_one_of_a_kind_stand_in_a_row_where_it_can() -> None:
    kinds = {1: "a", 2: "a", 3: "a", 4: "b", 5: None, 6: None}
    order = diversify.spaced([1, 2, 3, 4, 5, 6], kinds.get)
    assert order == [1, 4, 2, 5, 3, 6]
    assert diversify.spaced(order, kinds.get) == order
    assert diversify.spaced([1, 2, 3], kinds.get) == [1, 2, 3]  # there is nothing else
    assert diversify.spaced([1, 2, 3, 4], kinds.get, run=2) == [1, 2, 4, 3]
    assert diversify.spaced([5, 6, 1, 2, 4], kinds.get, start=3) == [5, 6, 1, 4, 2]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_the_share_of_discoveries_holds_on_every_page(share: float) -> None:
    kinds = ["usual"] * 40 + ["odd", "rare"] * 40
    order, found = diversify.discovered(range(120), kinds.__getitem__, share=share)

    assert sorted(order) == list(range(120))
    for places in (10, 20, 30):
        assert sum(kinds[row] != "usual" for row in order[:places]) == int(share * places)
    assert all(kinds[row] != "usual" for row in found)
    assert diversify.discovered(range(40), kinds.__getitem__, share=share)[1] == set()


def test_steady_moves_only_what_moved() -> None:
    assert diversify.steady([3, 1, 2], [], set()) == [3, 1, 2]
    assert diversify.steady([3, 1, 2], [1, 2, 3], set()) == [1, 2, 3]
    assert diversify.steady([3, 1, 2], [1, 2, 3], {3}) == [3, 1, 2]
    assert diversify.steady([9, 3, 1, 2], [1, 2, 3], set()) == [1, 2, 3, 9]  # noise brings nobody
    assert diversify.steady([9, 3, 1, 2], [1, 2, 3], {9}) == [9, 1, 2, 3]
    assert diversify.steady([3, 1], [1, 2, 3], set()) == [1, 3]  # 2 is gone
