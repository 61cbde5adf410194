"""Drive the real application, on the real sample person or on a new home."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from ondevice.tui.app import RecApp
from ondevice.tui.screens.for_you import ForYou
from ondevice.tui.widgets.detail import Detail
from ondevice.tui.widgets.item_list import ItemList


@asynccontextmanager
async def opened(
    *, columns: int = 120, rows: int = 30, demo: bool = True
) -> AsyncIterator[Pilot[None]]:
    """Open the application, wait for its list, and close it with everything it made."""
    app = RecApp(demo=demo)
    try:
        async with app.run_test(size=(columns, rows)) as pilot:
            await settled(pilot)
            yield pilot
    finally:
        app.close()


async def settled(pilot: Pilot[None]) -> None:
    """Wait until every worker has finished and everything is painted."""
    for _ in range(3):
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()


async def press(pilot: Pilot[None], *keys: str) -> None:
    """Press `keys` one after the other without waiting, then wait for what follows."""
    await pilot.press(*keys)
    await settled(pilot)


def for_you(pilot: Pilot[None]) -> ForYou:
    """The main screen, whatever lies above it."""
    screen = next(one for one in pilot.app.screen_stack if isinstance(one, ForYou))
    assert isinstance(screen, ForYou)
    return screen


def on_list(pilot: Pilot[None]) -> bool:
    """Whether nothing lies above the main screen."""
    return pilot.app.screen is for_you(pilot)


def ids(pilot: Pilot[None]) -> list[str]:
    """The ids of the items that the list shows, in order."""
    items = for_you(pilot).query_one(ItemList)
    return [items.get_option_at_index(place).id or "" for place in range(items.option_count)]


def seen(pilot: Pilot[None]) -> str:
    """What stands on the terminal, line by line."""
    lines = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in lines)


def detail(pilot: Pilot[None]) -> Detail:
    """The pane beside the list."""
    return for_you(pilot).query_one(Detail)
