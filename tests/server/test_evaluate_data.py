"""Reading data sets and splitting their users, as the protocol says."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ondevice.errors import ConfigError
from server_tools.evaluate import data


def folder(root: Path, rows: Sequence[tuple[str, str, str, str]], items: int = 40) -> Path:
    """Write a data set of `items` items and interactions (user, item, t, value)."""
    root.mkdir(parents=True, exist_ok=True)
    records = [
        {"item_id": str(n), "title": f"Thing {n}", "text": "words", "categories": ["a", "b"]}
        for n in range(items)
    ]
    (root / "items.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    lines = ["user_id,item_id,t,value", *(",".join(row) for row in rows)]
    (root / "interactions.csv").write_text("\n".join(lines), encoding="utf-8")
    return root


def many(users: int, each: int, items: int = 40) -> list[tuple[str, str, str, str]]:
    return [
        (f"u{u:04d}", str((7 * u + 3 * k) % items), str(k), "1")
        for u in range(users)
        for k in range(each)
    ]


def test_an_item_has_the_text_that_a_build_would_read(tmp_path: Path) -> None:
    dataset = data.load(folder(tmp_path / "set", many(2, 5)))
    assert dataset.name == "set"
    assert dataset.texts[3] == "Thing 3. a, b. words"


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (["1", "3", "4", "5"], (2, 3)),  # ratings: 4 and 5 are positives
        (["1", "3", "4", "6"], (0, 1, 2, 3)),  # amounts: all are
        (["1", "1", "1", "1"], (0, 1, 2, 3)),
        (["", "", "", ""], (0, 1, 2, 3)),
        (["1", "5", "1", "5"], (0, 1, 2, 3)),  # two levels are no scale
    ],
)
def test_what_counts_as_positive(tmp_path: Path, values: list[str], kept: tuple[int, ...]) -> None:
    rows = [("u", str(n), str(n), value) for n, value in enumerate(values)]
    assert data.load(folder(tmp_path, rows)).users["u"] == kept


@pytest.mark.parametrize(
    ("times", "order"),
    [
        (["10", "9", "100", "9"], (1, 3, 0, 2)),  # numbers by value, equal ones by place
        (["2011-02-01", "2010-12-07 14:57", "2011-01-18", "2012-01-01"], (1, 2, 0, 3)),
        (["", "", "", ""], (0, 1, 2, 3)),
    ],
)
def test_behaviours_are_in_time_order(
    tmp_path: Path, times: list[str], order: tuple[int, ...]
) -> None:
    rows = [("u", str(n), time, "1") for n, time in enumerate(times)]
    assert data.load(folder(tmp_path, rows)).users["u"] == order


def test_a_repeat_counts_once_and_an_unknown_item_never(tmp_path: Path) -> None:
    rows = [("u", "3", "1", "1"), ("u", "9999", "2", "1"), ("u", "3", "3", "1")]
    assert data.load(folder(tmp_path, rows)).users["u"] == (3,)


def test_the_split_is_seventy_to_thirty_and_eighty_to_twenty(tmp_path: Path) -> None:
    parts = data.split(data.load(folder(tmp_path, many(300, 20))))
    assert (parts.minimum, len(parts.publisher), len(parts.devices)) == (20, 210, 90)
    for device in parts.devices:
        assert (len(device.behaviours), len(device.held_out)) == (16, 4)
        assert not set(device.behaviours) & set(device.held_out)


@pytest.mark.parametrize(("each", "minimum"), [(25, 20), (19, 10), (9, 5), (5, 5)])
def test_how_many_positives_a_user_needs(tmp_path: Path, each: int, minimum: int) -> None:
    parts = data.split(data.load(folder(tmp_path, many(300, each))))
    assert parts.minimum == minimum


def test_fewer_positives_suffice_where_users_are_few(tmp_path: Path) -> None:
    rows = [*many(299, 20), *((f"x{u}", str(k), "1", "1") for u in range(9) for k in range(10))]
    parts = data.split(data.load(folder(tmp_path, rows)))
    assert parts.minimum == 10
    assert len(parts.publisher) + len(parts.devices) == 308


def test_the_seed_decides_who_is_a_device(tmp_path: Path) -> None:
    dataset = data.load(folder(tmp_path, many(60, 5)))
    first, again, other = (data.split(dataset, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert {d.user for d in first.devices} != {d.user for d in other.devices}


def test_a_set_without_enough_users_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too few to split"):
        data.split(data.load(folder(tmp_path, many(1, 20))))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("items.jsonl", '{"item_id": "1"}', "line 1: not an item"),
        ("items.jsonl", "[]", "line 1: not an item"),
        ("items.jsonl", '{"item_id":"1","title":"a"}\n{"item_id":"1","title":"b"}', "'1' occurs"),
        ("interactions.csv", "user,item\n", "must name the columns"),
        ("interactions.csv", "user_id,item_id,t,value\nu,1,1,many\n", "not a number"),
        ("interactions.csv", None, "cannot read"),
    ],
)
def test_files_that_are_not_a_data_set_are_refused(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    root = folder(tmp_path, many(2, 5))
    if text is None:
        (root / name).unlink()
    else:
        (root / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        data.load(root)
