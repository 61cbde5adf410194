"""Every command, run for real in one guarded process: offline, without Textual, by its contract."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ondevice.cli.main import COMMANDS

# Command → calls; ITEM stands for the first recommended item, FILE for a file of JSON lines.
SCENARIO: dict[str, list[list[str]]] = {
    "config": [["config", "show"], ["config", "path"]],
    "completion": [["completion", "zsh"]],
    "doctor": [["doctor", "--json"]],
    "log": [
        ["log", "a film about a mountain rescue", "--kind", "like", "--json"],
        ["log", "write to jane@example.org about the lamp"],
        ["log", "saw 0", "--kind", "like", "--item", "film:stalker"],
        ["log", "saw 1", "--kind", "like", "--item", "film:2001-a-space-odyssey"],
        ["log", "saw 2", "--kind", "like", "--item", "film:solaris-1972"],
        ["log", "saw 3", "--kind", "like", "--item", "book:solaris"],
        ["log", "saw 4", "--kind", "like", "--item", "film:blade-runner"],
        ["log", "saw 5", "--kind", "like", "--item", "film:arrival"],
    ],
    "import": [["import", "--list"], ["import", "jsonl", "FILE", "--json"]],
    "catalogue": [["catalogue", "list", "--json"]],
    "recommend": [
        ["recommend", "--json"],
        ["recommend", "--plain", "-n", "3"],
        ["recommend", "--view", "shared", "--json"],
    ],
    "search": [["search", "a quiet story", "--json"]],
    "why": [["why", "ITEM", "--json"], ["why", "ITEM"]],
    "feedback": [["feedback", "ITEM", "like"], ["feedback", "--list", "--json"]],
    "evaluate": [
        ["evaluate", "--catalogue", "films-and-books"],
        ["evaluate", "--catalogue", "films-and-books", "--json"],
    ],
    "interests": [
        ["interests", "--json"],
        ["interests", "pick", "gardening"],
        ["interests", "mute", "horror", "--json"],
        ["interests", "unmute", "horror"],
        ["interests", "drop", "gardening"],
    ],
    "history": [["history", "--json"], ["history", "-n", "1"]],
    "profile": [["profile", "show", "--json"]],
    "budget": [["budget", "--json"], ["budget"]],
    "device": [["device", "enrol"], ["device", "show", "--json"]],
    "forget": [["forget", "--source", "nowhere", "--json"], ["forget", "--source", "log"]],
    "passphrase": [["passphrase", "set", "--file", "SECRET", "--json"], ["passphrase", "remove"]],
    "export": [["export", "NEW", "--json"]],
    "erase": [["erase", "--confirm", "erase everything", "--json"]],
    "demo": [["demo", "--plain"], ["demo", "--json"]],
}
# Tries every way out on purpose, so no guard can watch it: see tests/integration/test_audit.py.
APART = {"audit"}
WATCHED = "textual rich torch transformers huggingface_hub httpx requests server_tools"

# Runs the calls of argv; after each: exit code, output, and which watched packages are loaded.
PROBE = """
import contextlib, io, json, sys
calls, watched = json.loads(sys.argv[1]), set(sys.argv[2].split())
door = "ondevice.privacy.randomness"
urandom, strangers = os.urandom, set()
def witness(size):
    name = sys._getframe(1).f_globals.get("__name__", "")
    if name.startswith("ondevice.") and name != door:
        strangers.add(name)
    return urandom(size)
os.urandom = witness
from ondevice.cli.main import run
report, item = [], "none"
for call in calls:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([item if word == "ITEM" else word for word in call])
    if call[:2] == ["recommend", "--json"] and code == 0:
        item = json.loads(out.getvalue())["items"][0]["id"]
    loaded = watched & {name.partition(".")[0] for name in sys.modules}
    report.append({"call": call, "code": code, "out": out.getvalue(), "err": err.getvalue(),
                   "loaded": sorted(loaded)})
print(json.dumps({"calls": report, "strangers": sorted(strangers)}))
"""

Python = Callable[..., Any]


@pytest.fixture(scope="module")
def report(python: Python, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("commands")
    lines = folder / "behaviours.jsonl"
    lines.write_text('{"text": "a cosy mystery", "kind": "like"}\n{"text": ""}\n', "utf-8")
    secret = folder / "secret.txt"
    secret.touch(mode=0o600)
    secret.write_text("four or five words", "utf-8")
    names = {"FILE": str(lines), "SECRET": str(secret), "NEW": str(folder / "export")}
    home = str(folder / "home")
    calls = [
        [names.get(word, word) for word in call]
        + ([] if call[0] in {"demo", "completion"} else ["--home", home])
        for calls in SCENARIO.values()
        for call in calls
    ]
    document: dict[str, Any] = python(PROBE, json.dumps(calls), WATCHED, guarded=True).document
    assert len(document["calls"]) == len(calls)
    return document


def test_the_guard_itself_works(python: Python) -> None:
    touched = python("import socket; socket.create_connection(('127.0.0.1', 9))", guarded=True)
    asked = python("import socket; socket.getaddrinfo('example.org', 443)", guarded=True)
    spawned = python("import subprocess; subprocess.run(['true'])", guarded=True)

    assert touched.code == asked.code == spawned.code == 97
    assert "touched: socket" in touched.err
    assert python("print('quiet')", guarded=True).out == "quiet\n"


def test_every_command_is_in_the_scenario() -> None:
    assert set(SCENARIO) | APART == set(COMMANDS)


@pytest.mark.parametrize("command", SCENARIO)
def test_offline_and_without_a_front_end_it_does_not_need(
    command: str, report: dict[str, Any]
) -> None:
    calls = [call for call in report["calls"] if call["call"][0] == command]

    assert calls
    for call in calls:
        assert call["code"] == 0, call["err"]
        assert call["loaded"] == [], call["call"]


@pytest.mark.parametrize("command", SCENARIO)
def test_json_is_one_document_with_its_schema(command: str, report: dict[str, Any]) -> None:
    for call in report["calls"]:
        if call["call"][0] == command and "--json" in call["call"]:
            assert json.loads(call["out"])["schema"] == 1
        elif call["call"][0] == command:
            assert call["out"].strip()


def test_the_keys_are_those_of_the_contract(report: dict[str, Any]) -> None:
    by_command = {
        (call["call"][0], "shared" in call["call"]): json.loads(call["out"])
        for call in report["calls"]
        if "--json" in call["call"]
    }
    listed = by_command["recommend", False]

    assert {"schema", "view", "catalogue", "items", "privacy"} <= listed.keys()
    assert {"rank", "id", "title", "score", "category", "url"} <= listed["items"][0].keys()
    assert {"epsilon", "delta", "unit", "mechanism"} <= listed["privacy"].keys()
    assert by_command["recommend", True]["view"] == "shared"
    assert {"rank", "id", "title", "score"} <= by_command["search", False]["items"][0].keys()
    assert {"read", "kept", "dropped", "duplicates"} <= by_command["import", False].keys()
    why = by_command["why", False]
    assert sum(part["share"] for part in why["parts"]) == pytest.approx(why["score"], abs=1e-6)
    budget = {"epsilon", "epsilon_cap", "epsilon_odds", "delta", "unit", "streams"}
    assert budget <= by_command["budget", False].keys()


def test_personal_data_is_masked_before_it_is_kept(report: dict[str, Any]) -> None:
    history = next(c["out"] for c in report["calls"] if c["call"][0] == "history")

    assert "jane@example.org" not in history
    assert "[e-mail]" in history


def test_randomness_comes_through_its_one_door(report: dict[str, Any]) -> None:
    assert report["strangers"] == []


def test_a_wrong_home_is_refused_with_words(python: Python, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    calls = json.dumps([["history", "--home", str(file)], ["nonsense"], ["recommend", "-n", "0"]])

    document = python(PROBE, calls, WATCHED, guarded=True).document

    assert [call["code"] for call in document["calls"]] == [2, 2, 2]
    assert all(call["err"].strip() for call in document["calls"])
