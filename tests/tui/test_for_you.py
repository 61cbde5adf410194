"""For You on the real sample person: what is shown, what moves, what a verdict does."""

import pytest
from textual.widgets import Static

from ondevice.tui.widgets.bars import Bars
from ondevice.tui.widgets.item_list import ItemList
from ondevice.tui.widgets.strip import Strip
from tests.tui.driving import detail, for_you, ids, opened, press, seen, settled

STRIP = (
    "80 sample behaviours · epsilon 4 per behaviour, for life · 0 bytes sent · x: start with my own"
)


@pytest.mark.asyncio
async def test_the_first_screen_says_whose_list_it_is_and_why_each_item_is_there() -> None:
    async with opened() as pilot:
        screen = for_you(pilot)
        shown, why = screen.shown, detail(pilot).query_one(Bars)

        assert screen.query_one("#strip", Strip).text == STRIP
        assert seen(pilot).splitlines()[0].strip() == STRIP
        assert shown is not None
        assert shown.catalogue == "films-and-books"
        assert len(ids(pilot)) == 50
        assert shown.items[0].item.title in seen(pilot)
        assert all(one.because for one in shown.items)
        assert str(detail(pilot).query_one("#detail-text", Static).content) == (
            shown.items[0].item.description
        )
        assert sum(part.share for part in why.parts) == pytest.approx(why.score, abs=1e-6)
        assert why.score == pytest.approx(shown.items[0].score, abs=1e-6)
        assert "noise" in {part.kind for part in why.parts}


@pytest.mark.asyncio
async def test_moving_shows_the_next_item_and_its_own_bars() -> None:
    async with opened() as pilot:
        await press(pilot, "j")
        chosen, why = for_you(pilot).current(), detail(pilot).query_one(Bars)

        assert chosen is not None
        assert chosen.rank == 2
        assert chosen.item.title in str(detail(pilot).query_one("#detail-head", Static).content)
        assert why.score == pytest.approx(chosen.score, abs=1e-6)
        await press(pilot, "G")
        assert for_you(pilot).query_one(ItemList).highlighted == 49
        await press(pilot, "g")
        assert for_you(pilot).query_one(ItemList).highlighted == 0


@pytest.mark.asyncio
async def test_what_is_hidden_is_gone_at_once_and_comes_back() -> None:
    async with opened() as pilot:
        before = ids(pilot)
        await press(pilot, "j", "h")
        assert before[1] not in ids(pilot)
        assert for_you(pilot).query_one(ItemList).highlighted == 1

        await press(pilot, "u")
        assert set(ids(pilot)) == set(before)


@pytest.mark.asyncio
@pytest.mark.parametrize(("key", "verdict"), [("l", "like"), ("d", "less")])
async def test_a_verdict_changes_the_list_at_once(key: str, verdict: str) -> None:
    async with opened() as pilot:
        screen = for_you(pilot)
        before = screen.shown
        await press(pilot, key)

        assert screen.shown is not None
        assert before is not None
        assert [one.score for one in screen.shown.items] != [one.score for one in before.items]
        assert screen.query_one("#strip", Strip).text.startswith("81 sample behaviours")
        await press(pilot, "u")
        assert before.items[0].item.id in ids(pilot)


@pytest.mark.asyncio
async def test_catalogues_are_switched_by_key_digit_and_mouse() -> None:
    async with opened() as pilot:
        screen = for_you(pilot)
        names = [one.id for one in screen._catalogues]
        assert len(names) == 5
        here = names.index("films-and-books")
        await press(pilot, "j", "j", "c")
        assert screen.shown is not None
        assert screen.shown.catalogue == names[(here + 1) % 5]
        assert screen.query_one(ItemList).highlighted == 0

        await press(pilot, "C")
        assert screen.shown.catalogue == "films-and-books"
        await press(pilot, "5")
        assert screen.shown.catalogue == names[4]
        await pilot.click("#catalogues", offset=(4, 0))
        await settled(pilot)
        assert screen.shown.catalogue == names[0]


@pytest.mark.asyncio
async def test_keys_that_come_faster_than_answers_do_no_harm() -> None:
    async with opened() as pilot:
        await press(pilot, *"lllduhhjjjkc2jju/", "escape", *"cccjl")

        screen = for_you(pilot)
        assert pilot.app.screen is screen
        assert pilot.app.return_code is None
        assert len(ids(pilot)) > 10
        assert not screen._saying


@pytest.mark.asyncio
async def test_one_verdict_pressed_twice_is_one() -> None:
    async with opened() as pilot:
        await press(pilot, "l", "l", "l")
        verdicts = len(for_you(pilot)._said)

        strip = for_you(pilot).query_one("#strip", Strip).text
        assert 1 <= verdicts <= 3
        assert len(set(for_you(pilot)._said)) == verdicts
        assert strip.startswith(f"{80 + verdicts} sample behaviours")


@pytest.mark.asyncio
async def test_leaving_while_the_engine_works() -> None:
    async with opened() as pilot:
        await pilot.press("l", "c", "j", "q")
        await pilot.pause()
        app = pilot.app

    assert app.return_code == 0


@pytest.mark.asyncio
async def test_a_look_at_the_list_without_the_noise_changes_nothing() -> None:
    async with opened() as pilot:
        screen, before = for_you(pilot), ids(pilot)
        await press(pilot, "n")
        assert screen.shown is not None
        assert screen.shown.exact
        assert "exact: from your raw history" in str(screen.query_one("#note", Static).content)
        assert "noise" not in {part.kind for part in detail(pilot).query_one(Bars).parts}

        await press(pilot, "n")
        again = screen.shown
        assert not again.exact
        assert ids(pilot) == before
