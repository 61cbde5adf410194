"""`recommend`, `search` and `why`: their documents, their pages, and what they add up to."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Said, here, process

ITEM_KEYS = {"rank", "id", "title", "score", "category", "url"}
FILMS = "films-and-books"


def ids(said: Said) -> list[str]:
    return [one["id"] for one in said.document["items"]]


@pytest.mark.parametrize("view", ["owner", "shared"])
def test_recommend_document(home: Path, view: str) -> None:
    found = here("recommend", "--json", "--view", view, "--catalogue", FILMS, home=home).document

    assert set(found) == {"schema", "view", "catalogue", "items", "privacy"}
    assert (found["view"], found["catalogue"]) == (view, FILMS)
    assert [one["rank"] for one in found["items"]] == list(range(1, 11))
    assert all(set(one) == ITEM_KEYS for one in found["items"])
    assert set(found["privacy"]) == {"epsilon", "delta", "unit", "mechanism"}
    assert found["privacy"]["epsilon"] == pytest.approx(4.0)
    assert (found["privacy"]["delta"], found["privacy"]["unit"]) == (1e-6, "behaviour")


def test_recommend_in_a_process_writes_data_to_stdout_alone(home: Path) -> None:
    asked = process("recommend", "-n", 3, "--plain", "--home", home)
    assert (asked.returncode, asked.stderr) == (0, b"")
    lines = asked.stdout.decode().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["1", "2", "3"]
    assert all(" — " in line for line in lines)
    assert process("--plain", "--home", home).returncode == 2  # options go after a command
    nothing = process(environment={"ONDEVICE_HOME": str(home)})
    assert nothing.stdout.decode().splitlines()[:3] != []
    assert b"\x1b" not in nothing.stdout + asked.stdout


def test_few_behaviours_are_said_on_stderr(tmp_path: Path) -> None:
    said = here("recommend", home=tmp_path / "new")
    assert (said.code, len(said.out.splitlines())) == (0, 10)
    assert said.err == "note: still learning, 0 of about 20\n"


def test_pages_never_repeat_and_the_limit_holds(home: Path) -> None:
    pages = [
        ids(here("recommend", "--json", "-n", 7, "--page", page, home=home)) for page in (1, 2, 3)
    ]
    assert [len(page) for page in pages] == [7, 7, 7]
    assert len({item for page in pages for item in page}) == 21
    assert pages[0] + pages[1] + pages[2] == ids(here("recommend", "--json", "-n", 21, home=home))
    ranks = [
        one["rank"]
        for one in here("recommend", "--json", "-n", 7, "--page", 2, home=home).document["items"]
    ]
    assert ranks == list(range(8, 15))


def test_owner_view_leaves_out_what_was_seen(home: Path) -> None:
    history = here("history", "--json", "-n", 100, home=home).document["behaviours"]
    seen = {one["item"] for one in history if one["catalogue"] == FILMS}
    assert any(one["kind"] == "dislike" for one in history)
    listed = ids(here("recommend", "--json", "-n", 100, "--catalogue", FILMS, home=home))
    assert seen
    assert not seen & set(listed)


def test_shared_view_never_says_one_item_twice(home: Path) -> None:
    ask = ("recommend", "--view", "shared", "--json", "--catalogue", FILMS)
    first, second = ids(here(*ask, home=home)), ids(here(*ask, home=home))
    assert len({*first, *second}) == 20
    message = here(*ask, "--page", 2, home=home).refused(2)
    assert "no pages" in message


@pytest.mark.parametrize("text", ["a cosy mystery", "black holes"])
def test_search_document(home: Path, text: str) -> None:
    found = here("search", text, "--json", "-n", 4, "--catalogue", FILMS, home=home).document

    assert set(found) == {"schema", "catalogue", "items"}
    assert [set(one) for one in found["items"]] == [ITEM_KEYS] * 4
    values = [one["score"] for one in found["items"]]
    assert values == sorted(values, reverse=True)
    assert all(-1.0 <= value <= 1.0 for value in values)


def test_search_takes_words_and_records_nothing(home: Path) -> None:
    before = here("history", "--json", home=home).document["total"]
    loose = here("search", "black", "holes", "--json", home=home).document
    assert loose == here("search", "black holes", "--json", home=home).document
    assert here("search", "black holes", home=home).out.startswith("  1 ")
    assert here("history", "--json", home=home).document["total"] == before


def why(item: str, home: Path) -> dict[str, Any]:
    return here("why", item, "--json", home=home).document


def test_why_sums_to_the_listed_score(home: Path) -> None:
    listed = here("recommend", "--json", "-n", 5, home=home).document["items"]
    for one in listed:
        answer = why(one["id"], home)
        assert {"schema", "score", "parts"} <= set(answer)
        assert all(set(part) == {"kind", "label", "share"} for part in answer["parts"])
        kinds = {part["kind"] for part in answer["parts"]}
        assert kinds <= {
            *("behaviour", "older", "prior", "noise", "popularity", "feature", "overlay")
        }
        assert {"behaviour", "noise"} <= kinds
        assert sum(part["share"] for part in answer["parts"]) == pytest.approx(
            answer["score"], abs=1e-6
        )
        assert answer["score"] == pytest.approx(one["score"], abs=1e-6)


def test_why_tells_people_the_largest_parts(home: Path) -> None:
    item = ids(here("recommend", "--json", "-n", 1, home=home))[0]
    lines = here("why", item, home=home).out.splitlines()
    assert lines[-1] == "place 1 of your list"
    shares = [float(line.split()[0]) for line in lines[1:-1]]
    assert float(lines[0].rpartition(" ")[2]) == pytest.approx(sum(shares), abs=0.01)
    assert 3 < len(lines) < 20
    assert any(" other things you did" in line for line in lines)


@pytest.mark.parametrize(
    ("asked", "code", "word"),
    [
        (("why", "no-such-item"), 3, "no-such-item"),
        (("why", "no-such-item", "--catalogue", FILMS), 3, FILMS),
        (("recommend", "--catalogue", "nope"), 3, "nope"),
        (("search", "x", "--catalogue", "nope"), 3, "nope"),
        (("search", " "), 2, "empty"),
    ],
)
def test_wrong_names_say_what_there_is(
    sample_home: Path, asked: tuple[str, ...], code: int, word: str
) -> None:
    assert word in here(*asked, home=sample_home).refused(code)


@pytest.mark.parametrize("asked", [("-n", "0"), ("-n", "101"), ("--page", "0"), ("--view", "all")])
def test_wrong_flags_are_usage_errors(sample_home: Path, asked: tuple[str, str]) -> None:
    said = here("recommend", *asked, home=sample_home)
    assert (said.code, said.out) == (2, "")
    assert asked[0] in said.err


def test_damaged_store_is_never_read(home: Path) -> None:
    store = home / "store.db"
    blob = bytearray(store.read_bytes())
    blob[len(blob) // 2] ^= 1
    for place in range(5000, len(blob), 4096):
        blob[place] ^= 1
    store.write_bytes(blob)
    message = here("recommend", "--json", home=home).refused(5)
    assert "damaged" in message
    assert "backup" in message
    doctor = here("doctor", "--json", home=home)
    assert doctor.code == 1
    checks = {one["id"]: one["status"] for one in json.loads(doctor.out)["checks"]}
    assert checks["store"] == "fail"
    assert checks["encoder"] == "pass"
