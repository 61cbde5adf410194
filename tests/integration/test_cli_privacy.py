"""`budget` and `profile`; what the cap refuses; what the shared view can't depend on."""

import shutil
from pathlib import Path

import pytest

from ondevice.service.session import Session
from tests.commands import here, process

FILMS = "films-and-books"
CHARGED = pytest.approx(4.0, abs=1e-6)

# What a budget says of the number of behaviours; the guarantee itself may not depend on it.
MOVES = {"streams", "behaviours", "expected"}


def configure(home: Path, text: str) -> None:
    (home / "config.toml").write_text(text, encoding="utf-8")


def test_budget_is_constant_in_the_number_of_behaviours(tmp_path: Path) -> None:
    home = tmp_path / "home"
    keys = {"schema", "epsilon", "epsilon_cap", "epsilon_odds", "delta", "unit", "streams"}
    none = here("budget", "--json", home=home).document
    assert set(none) >= keys
    assert (none["epsilon"], none["epsilon_cap"], none["streams"]) == (0.0, 4.0, [])

    assert here("log", "the first thing", home=home).code == 0
    one = here("budget", "--json", home=home).document
    lines = "\n".join(f'{{"text": "thing number {n}"}}' for n in range(49))
    assert here("log", "-", home=home, given=lines.encode()).out == "49 recorded\n"
    fifty = here("budget", "--json", home=home).document

    assert one["epsilon"] == CHARGED
    assert [stream["rows"] for stream in fifty["streams"]] == [50]
    assert {k: v for k, v in fifty.items() if k not in MOVES} == {
        k: v for k, v in one.items() if k not in MOVES
    }
    assert (fifty["delta"], fifty["unit"]) == (1e-6, "behaviour")
    assert 85 < fifty["epsilon_odds"] < 87  # even odds become 98.9 to 1.1


def test_budget_in_words(home: Path) -> None:
    asked = process("budget", "--home", home)
    words = asked.stdout.decode()
    assert asked.returncode == 0
    assert "epsilon 4 of 4 per behaviour, for life" in words
    assert "98.9%" in words
    assert "at most 86 times surer" in words
    assert "3 things of one deed" in words
    assert "Not hidden: that something was recorded" in words
    assert "discrete Gaussian" in words
    assert "Expected quality at epsilon 4 after 80 things you did: " in words


def test_lowered_cap_refuses_and_says_the_way_out(home: Path) -> None:
    before = here("history", "--json", home=home).document["total"]
    configure(home, "epsilon = 2.0\n")
    message = here("log", "one more thing", home=home).refused(4)
    assert "epsilon 4" in message
    assert "epsilon = 4" in message
    assert str(home / "config.toml") in message
    assert process("log", "one more thing", "--home", home).returncode == 4

    assert here("history", "--json", home=home).document["total"] == before
    budget = here("budget", "--json", home=home).document
    assert (budget["epsilon"], budget["epsilon_cap"]) == (CHARGED, 2.0)
    assert budget["epsilon_odds"] > 85  # what was released before is not taken back
    listed = here("recommend", "--json", home=home).document
    assert listed["privacy"]["epsilon"] == CHARGED

    configure(home, "epsilon = 4\ndelta = 1e-06\n")  # as the hint says
    assert here("log", "one more thing", home=home).out == "1 recorded\n"


def test_raised_cap_keeps_the_profile(home: Path) -> None:
    configure(home, "epsilon = 8.0\n")
    assert here("log", "one more thing", home=home).code == 0
    budget = here("budget", "--json", home=home).document
    assert (budget["epsilon"], budget["epsilon_cap"]) == (CHARGED, 8.0)
    assert [stream["rows"] for stream in budget["streams"]] == [81]


def test_new_home_takes_the_cap_of_its_configuration(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    configure(home, "epsilon = 1.0\ndelta = 1e-9\n")
    assert here("log", "a thing", home=home).code == 0
    budget = here("budget", "--json", home=home).document
    assert (budget["epsilon"], budget["delta"]) == (pytest.approx(1.0, abs=1e-6), 1e-9)


def test_profile_shows_what_was_released(home: Path) -> None:
    found = here("profile", "show", "--json", "--catalogue", FILMS, home=home).document
    assert {"catalogue", "steps", "remembered", "noise_std", "topics"} <= set(found)
    assert (found["catalogue"], found["steps"]) == (FILMS, 80)
    assert 0 < found["remembered"] < 80
    leans = [topic["lean"] for topic in found["topics"]]
    assert leans == sorted(leans, reverse=True)
    words = here("profile", "show", home=home).out
    assert "80 steps" in words
    assert "noise: " in words


def test_shared_view_depends_on_the_released_rows_alone(home: Path, tmp_path: Path) -> None:
    """Two homes with the same rows and different raw state give the same bytes."""
    other = Path(shutil.copytree(home, tmp_path / "other"))
    listed = here("recommend", "--json", "-n", 5, "--catalogue", FILMS, home=other).document
    for one in listed["items"]:
        assert here("feedback", one["id"], "hide", home=other).code == 0
    with Session.open(other) as session:
        behaviours = session.store.behaviours
        kept = behaviours.recent(80)
        for one in kept[:40]:
            assert one.id is not None
            behaviours.withdraw(one.id)

    owner = ("recommend", "--json", "--catalogue", FILMS)
    assert here(*owner, home=home).out != here(*owner, home=other).out
    for asked in ((), ("--catalogue", FILMS), ("--catalogue", FILMS), ("--catalogue", "shop")):
        shared = ("recommend", "--view", "shared", "--json", *asked)
        assert here(*shared, home=home).out == here(*shared, home=other).out


def test_owner_may_always_ask_why(home: Path) -> None:
    shared = here("recommend", "--view", "shared", "--json", "--catalogue", FILMS, home=home)
    for one in shared.document["items"]:
        assert here("why", one["id"], "--json", home=home).document["parts"]
