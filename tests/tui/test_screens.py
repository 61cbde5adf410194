"""The other screens: item, search, help, add, and one's own home; and three widths."""

from pathlib import Path

import pytest
from textual.widgets import Input, Select, Static

from ondevice.domain import Kind
from ondevice.tui.screens.add import Add
from ondevice.tui.screens.help import Help
from ondevice.tui.screens.item import ItemScreen
from ondevice.tui.screens.search import Search
from ondevice.tui.widgets.bars import Bars
from ondevice.tui.widgets.item_list import ItemList
from ondevice.tui.widgets.strip import Strip
from tests.tui.driving import detail, for_you, ids, on_list, opened, press, seen, settled


@pytest.mark.asyncio
@pytest.mark.parametrize("columns", [40, 80, 120])
async def test_every_width_shows_whole_words(columns: int) -> None:
    async with opened(columns=columns, rows=24) as pilot:
        lines = seen(pilot).splitlines()
        footer = lines[-1].split()

        assert detail(pilot).display is (columns > 40)
        assert "x: start with my own" in seen(pilot)  # never in two lines
        assert "Films and books" in seen(pilot)
        assert footer[:4] == ["?", "Help", "l", "Like"]
        assert set(footer[1::2]) <= {"Help", "Like", "Less", "Hide", "Search", "Catalogue", "Undo"}
        assert ("›" in seen(pilot)) is (columns < 120)
        assert max(len(line) for line in lines) <= columns


@pytest.mark.asyncio
async def test_a_live_resize_changes_the_layout() -> None:
    async with opened(columns=120, rows=24) as pilot:
        await pilot.resize_terminal(40, 24)
        await settled(pilot)
        assert detail(pilot).display is False
        assert seen(pilot).splitlines()[-1].split()[-1] == "Search"
        await pilot.resize_terminal(120, 30)
        await settled(pilot)
        assert detail(pilot).region.width > 50
        assert seen(pilot).splitlines()[-1].split()[-1] == "Undo"


@pytest.mark.asyncio
async def test_a_narrow_terminal_opens_the_item_and_takes_a_verdict_there() -> None:
    async with opened(columns=40, rows=30) as pilot:
        first = for_you(pilot).current()
        assert first is not None
        await press(pilot, "enter")
        assert isinstance(pilot.app.screen, ItemScreen)
        assert first.item.title[:20] in seen(pilot)
        assert pilot.app.screen.query_one(Bars).score == pytest.approx(first.score, abs=1e-6)

        await press(pilot, "h")
        assert on_list(pilot)
        assert first.item.id not in ids(pilot)


@pytest.mark.asyncio
async def test_search_finds_by_meaning_and_records_nothing() -> None:
    async with opened() as pilot:
        shown = for_you(pilot).shown
        assert shown is not None
        title = shown.items[5].item.title
        await press(pilot, "slash")
        assert isinstance(pilot.app.screen, Search)
        pilot.app.screen.query_one(Input).value = title
        await press(pilot, "enter")

        found = pilot.app.screen.query_one(ItemList)
        near = [found.get_option_at_index(place).id for place in range(10)]
        assert shown.items[5].item.id in near
        await press(pilot, "enter")
        assert isinstance(pilot.app.screen, ItemScreen)
        await press(pilot, "escape", "escape")
        assert for_you(pilot).query_one("#strip", Strip).text.startswith("80 sample")


@pytest.mark.asyncio
async def test_a_search_that_cannot_be_says_so() -> None:
    async with opened() as pilot:
        await press(pilot, "slash")
        pilot.app.screen.query_one(Input).value = "\x00\x01"
        await press(pilot, "enter")

        note = str(pilot.app.screen.query_one("#search-note", Static).content)
        assert "looking" not in note
        assert pilot.app.screen.query_one(ItemList).option_count == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("columns", [40, 80])
async def test_help_lists_the_keys_of_the_screen(columns: int) -> None:
    async with opened(columns=columns, rows=30) as pilot:
        await press(pilot, "question_mark")
        assert isinstance(pilot.app.screen, Help)
        told = str(pilot.app.screen.query_one("#help-keys", Static).content)
        for says in ("More like this", "Never show this", "Search", "Start with my own", "Quit"):
            assert says in told
        assert "1 … 9" in told
        assert max(len(line) for line in told.splitlines()) <= 32

        await press(pilot, "question_mark")
        assert on_list(pilot)


@pytest.mark.asyncio
async def test_x_opens_ones_own_home_and_says_how_to_begin(tmp_path: Path) -> None:
    async with opened(columns=80) as pilot:
        await press(pilot, "x")
        screen = for_you(pilot)
        note = str(screen.query_one("#note", Static).content)

        assert screen.sample is False
        assert screen.query_one("#strip", Strip).text.startswith("0 behaviours · ")
        assert "x: start" not in seen(pilot)
        assert "a: add" in note
        assert "ondevice-rec import jsonl FILE" in note
        assert ids(pilot)  # the popular start
        await press(pilot, "x")
        assert for_you(pilot) is screen


@pytest.mark.asyncio
async def test_what_is_added_is_recorded_and_learned_from() -> None:
    async with opened(columns=40, demo=False) as pilot:
        await press(pilot, "a")
        assert isinstance(pilot.app.screen, Add)
        pilot.app.screen.query_one(Input).value = "watched a film about a long journey"
        pilot.app.screen.query_one(Select).value = Kind.VIEW
        await press(pilot, "enter")

        assert on_list(pilot)
        assert for_you(pilot).query_one("#strip", Strip).text.startswith("1 behaviour · ")
        assert "learning" in str(for_you(pilot).query_one("#note", Static).content)


@pytest.mark.asyncio
async def test_what_cannot_be_recorded_says_why() -> None:
    async with opened(columns=40, demo=False) as pilot:
        await press(pilot, "a")
        pilot.app.screen.query_one(Input).value = "\x00\x01\x02"
        await press(pilot, "enter")

        assert isinstance(pilot.app.screen, Add)
        assert "Enter records it" not in str(
            pilot.app.screen.query_one("#add-note", Static).content
        )
