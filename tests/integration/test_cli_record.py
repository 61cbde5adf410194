"""`log`, `import`, `history` and `feedback`: what is kept, what is refused, what can be undone."""

import json
from pathlib import Path
from typing import Any

import pytest

from ondevice.service.session import Session
from tests.commands import here, process

COUNTS = {"read", "kept", "dropped", "duplicates"}


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "home"


def history(home: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = here("history", "--json", home=home).document["behaviours"]
    return found


def test_log_records_one_behaviour(new: Path) -> None:
    asked = process("log", "A film about the sea", "--kind", "like", "--json", "--home", new)
    assert asked.returncode == 0, asked.stderr
    counts = json.loads(asked.stdout)
    assert set(counts) >= COUNTS
    assert (counts["read"], counts["kept"], counts["duplicates"]) == (1, 1, 0)
    (one,) = history(new)
    assert set(one) == {"id", "at", "kind", "text", "item", "catalogue", "source"}
    assert (one["text"], one["kind"], one["source"]) == ("A film about the sea", "like", "log")


def test_log_keeps_item_and_time(new: Path) -> None:
    item = here("search", "dune", "--json", "-n", 1, "--catalogue", "films-and-books", home=new)
    name = item.document["items"][0]["id"]
    told = ("log", "seen", "--item", name, "--at", "2026-01-31T18:30+01:00")
    assert here(*told, home=new).out == "1 recorded\n"
    (one,) = history(new)
    assert (one["item"], one["catalogue"]) == (name, "films-and-books")
    assert one["at"] == "2026-01-31T17:30:00+00:00"
    assert here(*told, home=new).out == "0 recorded, 1 known already\n"


def test_log_masks_before_anything_is_stored(new: Path) -> None:
    secret = "jane.doe@example.org"  # what must not be found
    assert here("log", f"write to {secret} about the lamp", home=new).code == 0
    assert secret not in history(new)[0]["text"]
    assert "lamp" in history(new)[0]["text"]
    with Session.open(new) as session:
        (kept,) = session.store.behaviours.recent(10)
        assert "example.org" not in kept.text
    for file in new.rglob("*"):
        assert not file.is_file() or b"example.org" not in file.read_bytes()


def test_log_reads_json_lines(new: Path) -> None:
    lines = [
        {"text": "a cosy mystery", "kind": "like", "at": "2026-01-31T18:00:00Z"},
        {"text": "a cosy mystery", "kind": "like", "at": "2026-01-31T18:00:00Z"},
        {"text": "solar panels", "kind": "search", "item": "gone:1"},
        {"text": ""},
        {"text": "x", "kind": "guess"},
    ]
    given = "\n".join(map(json.dumps, lines)).encode()
    counts = here("log", "-", "--json", home=new, given=given).document
    assert {key: counts[key] for key in COUNTS} == {
        "read": 5,
        "kept": 2,
        "dropped": 2,
        "duplicates": 1,
    }
    said = here("log", "-", home=new, given=b'{"text": "a third thing"}\n{"text": ""}\n')
    assert said.out == "1 recorded, 1 dropped\n"
    assert said.err.startswith("note: dropped 1: ")
    assert history(new)[0]["text"] == "a third thing"


@pytest.mark.parametrize(
    ("told", "code", "word"),
    [
        (("",), 2, "empty"),
        (("\x00\x01\x02\x03",), 2, "binary"),
        (("x" * (1 << 20) + "y",), 2, "limit"),
        (("x", "--at", "yesterday"), 2, "not a time"),
        (("x", "--at", "2099-01-01"), 2, "future"),
        (("x", "--item", "nope"), 3, "nope"),
        (("x", "--catalogue", "nope"), 3, "nope"),
        (("-",), 2, "nothing to read"),
    ],
)
def test_log_refuses(new: Path, told: tuple[str, ...], code: int, word: str) -> None:
    assert word in here("log", *told, home=new).refused(code)
    assert history(new) == []


def test_log_refuses_bytes_that_are_no_text(new: Path) -> None:
    here("log", "-", home=new, given=bytes(range(256)) * 40).refused(2)
    assert history(new) == []


def test_wrong_kind_is_a_usage_error(new: Path) -> None:
    said = here("log", "x", "--kind", "guess", home=new)
    assert said.code == 2
    assert "purchase" in said.err


def test_import_lists_its_sources() -> None:
    found = here("import", "--list", "--json").document["sources"]
    assert "jsonl" in {one["name"] for one in found}
    assert all(one["what"] for one in found)


def test_import_counts_and_tries_without_recording(new: Path, tmp_path: Path) -> None:
    file = tmp_path / "behaviours.jsonl"
    before = b'{"text": "a"}\n{"text": "b", "kind": "like"}\n{"kind": "like"}\n'
    file.write_bytes(before)
    tried = here("import", "jsonl", file, "--dry-run", "--json", home=new).document
    assert {key: tried[key] for key in COUNTS} == {
        "read": 3,
        "kept": 2,
        "dropped": 1,
        "duplicates": 0,
    }
    assert history(new) == []
    done = process("import", "jsonl", file, "--json", "--home", new)
    assert json.loads(done.stdout)["kept"] == 2
    assert len(history(new)) == 2
    assert file.read_bytes() == before


@pytest.mark.parametrize("told", [("nosource", "x"), ("jsonl", "/no/such/file")])
def test_import_refuses(new: Path, told: tuple[str, str]) -> None:
    assert (
        told[0] if told[0] == "nosource" else told[1] in here("import", *told, home=new).refused(2)
    )
    assert here("import", "jsonl", home=new).code == 2


def test_history_shows_the_newest_first(home: Path, new: Path) -> None:
    found = here("history", "-n", 3, "--json", home=home).document
    assert (found["total"], len(found["behaviours"])) == (80, 3)
    times = [one["at"] for one in found["behaviours"]]
    assert times == sorted(times, reverse=True)
    said = here("history", "-n", 3, home=home)
    assert len(said.out.splitlines()) == 3
    assert said.err == "note: 3 of 80 shown: --page 2 goes on, -n for more\n"
    assert "nothing recorded yet" in here("history", home=new / "none").err


def items(home: Path) -> list[str]:
    listed = here("recommend", "--json", "-n", 100, "--catalogue", "shop", home=home)
    return [one["id"] for one in listed.document["items"]]


@pytest.mark.parametrize("verdict", ["like", "hide"])
def test_verdict_acts_on_the_next_list_and_undo_brings_it_back(home: Path, verdict: str) -> None:
    item = items(home)[1]
    assert here("feedback", item, verdict, "--json", home=home).document["verdict"] == verdict
    assert item not in items(home)
    assert here("feedback", item, "undo", home=home).out.startswith(f"took back {verdict}: ")
    assert item in items(home)
    assert "nothing to undo" in here("feedback", item, "undo", home=home).refused(3)


def test_less_moves_down(home: Path) -> None:
    before = items(home)
    assert here("feedback", before[0], "less", home=home).code == 0
    after = items(home)
    assert before[0] not in after[:1]
    assert here("feedback", before[0], "undo", home=home).code == 0


def test_every_verdict_is_listed(home: Path) -> None:
    item = items(home)[0]
    for told in (("open",), ("dwell", "--seconds", 90), ("less",), ("hide",), ("like",)):
        assert here("feedback", item, *told, home=home).code == 0
    assert here("feedback", item, "undo", home=home).code == 0
    listed = here("feedback", "--list", "--json", home=home).document["feedback"]
    assert [(one["verdict"], one["in_force"]) for one in listed] == [
        ("like", False),
        ("hide", True),
        ("less", True),
        ("dwell", True),
        ("open", True),
    ]
    assert "like (taken back)" in here("feedback", "--list", home=home).out


@pytest.mark.parametrize(
    "told", [(), ("item",), ("item", "dwell"), ("item", "like", "--seconds", "3"), ("item", "hate")]
)
def test_feedback_usage(sample_home: Path, told: tuple[str, ...]) -> None:
    said = here("feedback", *told, home=sample_home)
    assert (said.code, said.out) == (2, "")


def test_feedback_refuses_what_is_nowhere(sample_home: Path, new: Path) -> None:
    assert "nope" in here("feedback", "nope", "like", home=sample_home).refused(3)
    assert "nothing said yet" in here("feedback", "--list", home=new).err
