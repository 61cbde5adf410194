"""The shipped catalogues and the sample person keep the rules of models/demo/README.md."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ondevice.domain import DESCRIPTION_READ, Item, Kind, Scenario

DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"
CATALOGUES = ("communities-and-talks", "films-and-books", "funds", "shop", "smart-home")
RUN = 6  # words in a row that no two items may share
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
ITEM_ID = re.compile(r"[a-z]+:[a-z0-9]+(?:-[a-z0-9]+)*")
KEYS = {field.name for field in fields(Item)} - {"url"}
DAY = re.compile(r"(\d{4})(?:-(\d{2})-(\d{2}))?")


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def items(catalogue: str) -> list[Item]:
    rows = json_lines(DEMO / "catalogues" / f"{catalogue}.jsonl")
    return [Item(**{**row, "tags": tuple(row["tags"])}) for row in rows]


def words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def runs(text: str) -> Iterator[tuple[str, ...]]:
    found = words(text)
    return (tuple(found[i : i + RUN]) for i in range(len(found) - RUN + 1))


def shared_runs(texts: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str, str]]:
    first: dict[tuple[str, ...], str] = {}
    return [
        (first[run], key, " ".join(run))
        for key, parts in texts.items()
        for part in parts
        for run in runs(part)
        if first.setdefault(run, key) != key
    ]


def without_names_and_numbers(text: str) -> tuple[str, ...]:
    return tuple(w for w in WORD.findall(text) if not w[0].isupper() and not re.search(r"\d", w))


def persona() -> list[dict[str, Any]]:
    return json_lines(DEMO / "persona.jsonl")


def interests() -> dict[str, list[str]]:
    found = tomllib.loads((DEMO / "persona.toml").read_text(encoding="utf-8"))["interests"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def everything() -> dict[str, Item]:
    return {f"{name}/{item.id}": item for name in CATALOGUES for item in items(name)}


def test_there_are_exactly_the_five_catalogues_one_per_scenario() -> None:
    folder = DEMO / "catalogues"
    assert sorted(p.stem for p in folder.glob("*.jsonl")) == list(CATALOGUES)
    heads = [tomllib.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.toml"))]
    assert [head["id"] for head in heads] == list(CATALOGUES)
    assert {Scenario(head["scenario"]) for head in heads} == set(Scenario)
    for head in heads:
        assert set(head) == {"id", "title", "scenario", "licence", "notice"}
        assert head["licence"] == "Apache-2.0"
        assert "sample value" in head["notice"], head["id"]
        assert head["id"] == "films-and-books" or head["notice"].startswith("Invented"), head["id"]


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_a_catalogue_is_large_and_varied_enough(catalogue: str) -> None:
    found = items(catalogue)
    sizes = Counter(item.category for item in found)
    assert len(found) >= 120
    assert len({item.id for item in found}) == len(found)
    assert len({item.title for item in found}) == len(found)
    assert 8 <= len(sizes) <= 15
    assert min(sizes.values()) >= 8, sizes


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_the_fields_of_every_item_are_sane(catalogue: str) -> None:
    for row in json_lines(DEMO / "catalogues" / f"{catalogue}.jsonl"):
        assert set(row) <= KEYS, row["id"]
        assert {"id", "title", "description", "category", "tags"} <= set(row), row["id"]
    for item in items(catalogue):
        assert ITEM_ID.fullmatch(item.id), item.id
        assert 2 <= len(item.tags) <= 5, item.id
        assert len(set(item.tags)) == len(item.tags), item.id
        assert all(tag == tag.strip().lower() and tag for tag in item.tags), item.id
        assert item.title == item.title.strip()
        assert item.title
        assert item.price is None or 0 < item.price < 10_000, item.id
        assert item.rating is None or 0 < item.rating <= 5, item.id
        assert item.popularity is not None, item.id
        assert item.popularity > 0, item.id


def test_dates_are_true_years_or_days_of_the_calendar(everything: dict[str, Item]) -> None:
    for key, item in everything.items():
        if item.date is None:
            assert key.startswith(("shop/", "smart-home/", "communities-and-talks/group:")), key
            continue
        match = DAY.fullmatch(item.date)
        assert match, key
        year, month, day = (int(part or 1) for part in match.groups())
        assert date(1800, 1, 1) <= date(year, month, day) <= date(2026, 12, 31), key
        assert (match[2] is None) == key.startswith("films-and-books/"), key


def test_true_works_carry_no_invented_rating_or_price() -> None:
    found = items("films-and-books")
    assert all(item.rating is None and item.price is None for item in found)
    assert all(item.tags[0] == item.id.partition(":")[0] for item in found)
    assert {item.tags[0] for item in found} == {"film", "book"}


def test_descriptions_say_enough_and_are_read_whole(everything: dict[str, Item]) -> None:
    for key, item in everything.items():
        assert 15 <= len(words(item.description)) <= 50, key
        assert len(item.description) <= DESCRIPTION_READ, key
        assert item.description[-1] in ".?!", key


def test_no_six_words_in_a_row_occur_in_two_items(everything: dict[str, Item]) -> None:
    texts = {key: (item.title, item.description) for key, item in everything.items()}
    assert shared_runs(texts) == []


def test_no_two_descriptions_differ_only_in_names_and_numbers(everything: dict[str, Item]) -> None:
    bare = Counter(without_names_and_numbers(item.description) for item in everything.values())
    assert bare.most_common(1)[0][1] == 1
    assert min(len(rest) for rest in bare) >= 10


def test_the_rules_catch_what_they_are_for() -> None:
    one = "In 1999 Ada Brown walked slowly along the grey river to Leeds."
    two = "In 2004 Max Stone walked slowly along the grey river to York."
    assert without_names_and_numbers(one) == without_names_and_numbers(two)
    assert shared_runs({"a": (one,), "b": (two,)})[0] == (
        "a",
        "b",
        "walked slowly along the grey river",
    )
    assert shared_runs({"a": (one, one)}) == []


def test_the_person_did_eighty_things_within_ninety_days(everything: dict[str, Item]) -> None:
    rows = persona()
    assert len(rows) == 80
    assert len({row["text"] for row in rows}) == 80
    for row in rows:
        assert set(row) == {"text", "kind", "item", "catalogue", "days_ago"}
        assert row["catalogue"] in CATALOGUES
        assert 0 <= row["days_ago"] <= 90
        assert (row["item"] is None) == (Kind(row["kind"]) is Kind.SEARCH), row
        assert row["item"] is None or f"{row['catalogue']}/{row['item']}" in everything, row
    ages = [row["days_ago"] for row in rows]
    assert ages == sorted(ages, reverse=True)
    kinds = Counter(row["kind"] for row in rows)
    assert set(kinds) == {kind.value for kind in Kind}
    assert 8 <= kinds["search"] <= 10
    assert 2 <= kinds["dislike"] <= 3


def test_the_person_keeps_to_the_stated_interests(everything: dict[str, Item]) -> None:
    wanted = interests()
    assert sorted(wanted) == list(CATALOGUES)
    for row in persona():
        if row["item"] is None:
            continue
        category = everything[f"{row['catalogue']}/{row['item']}"].category
        assert (category in wanted[row["catalogue"]]) == (row["kind"] != "dislike"), row


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_enough_is_left_for_the_person_to_discover(catalogue: str) -> None:
    done = [row for row in persona() if row["catalogue"] == catalogue]
    seen = {row["item"] for row in done}
    found = items(catalogue)
    categories = set(interests()[catalogue])
    assert 12 <= len(done) <= 26
    assert 2 <= len(categories) <= 3
    assert categories <= {item.category for item in found}
    assert sum(item.category in categories and item.id not in seen for item in found) >= 12
    assert sum(item.category in categories for item in found) <= len(found) / 2


@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_the_readme_counts_right(catalogue: str) -> None:
    readme = (DEMO / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{catalogue}` \| [^|]+ \| (\d+) \|", readme, re.MULTILINE)
    assert row
    assert int(row[1]) == len(items(catalogue))
