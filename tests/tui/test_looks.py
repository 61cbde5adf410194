"""What the pieces look like with fixed values; one snapshot for each width."""

from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.containers import Horizontal

from ondevice import tui
from ondevice.domain import Item, Part, Recommendation
from ondevice.service.answers import Why
from ondevice.tui.app import RecApp
from ondevice.tui.screens.for_you import ForYou
from ondevice.tui.widgets.bars import Bars, bar
from ondevice.tui.widgets.catalogue_bar import CatalogueBar, window
from ondevice.tui.widgets.detail import Detail
from ondevice.tui.widgets.item_list import ItemList
from ondevice.tui.widgets.keys import Keys
from ondevice.tui.widgets.strip import Strip, wrapped

ITEMS = tuple(
    Item(
        id=f"item-{n}",
        title=f"Sample item {n} with a name that is rather long",
        description="A few plain words about this sample item, so that a pane has text to wrap.",
        category="samples",
        tags=("one", "two"),
        date="2001",
    )
    for n in range(1, 16)
)
LIST = tuple(
    Recommendation(rank=n, item=one, score=2.0 - n / 10, because=f"because you liked “Deed {n}”")
    for n, one in enumerate(ITEMS, start=1)
)
PARTS = (
    Part(kind="behaviour", label="you liked “Deed 1”", share=0.9),
    Part(kind="behaviour", label="you liked “Deed with a name that is rather long”", share=0.33),
    Part(kind="behaviour", label="you disliked “Deed 3”", share=-0.21),
    Part(kind="noise", label="noise", share=0.6),
    Part(kind="prior", label="what people like in general", share=0.4),
    Part(kind="popularity", label="popularity", share=-0.12),
)
CATALOGUES = ("First things", "Second things and others", "Third", "Fourth of all things")


class Fixed(ForYou):
    """The main screen with fixed values; it asks nobody."""

    def load(self) -> None:  # type: ignore[override]  # at once, not in a worker
        self.query_one("#strip", Strip).show(
            "80 sample behaviours · epsilon 4 per behaviour, for life · 0 bytes sent · "
            "x: start with my own"
        )
        self.query_one(CatalogueBar).show(CATALOGUES, 1)
        self.query_one(ItemList).show(LIST)
        self.query_one(Detail).show_item(ITEMS[0])
        self.query_one(Detail).show_why(Why(catalogue="x", item=ITEMS[0], score=1.9, parts=PARTS))


class Looks(RecApp):
    CSS_PATH = str(Path(tui.__file__).parent / "styles" / "app.tcss")

    def get_default_screen(self) -> Fixed:
        return Fixed(sample=True)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_for_you_looks_right(snap_compare: Any, columns: int) -> None:
    assert snap_compare(Looks(demo=True), terminal_size=(columns, 24))


def test_the_strip_wraps_between_parts() -> None:
    parts = ["80 things", "epsilon 4, for life", "x: go"]

    assert wrapped(parts, 80) == ["80 things · epsilon 4, for life · x: go"]
    assert wrapped(parts, 33) == ["80 things · epsilon 4, for life ·", "x: go"]
    assert wrapped(parts, 5) == ["80 things ·", "epsilon 4, for life ·", "x: go"]


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    assert bar(1.0, largest=1.0, cells=4, texture="█") == "████"
    assert bar(-0.5, largest=1.0, cells=4, texture="█") == "██  "
    assert bar(0.375, largest=1.0, cells=1, texture="█") == "▍"
    assert bar(0.5, largest=1.0, cells=4, texture="░") == "░░  "
    assert bar(0.0, largest=0.0, cells=3, texture="█") == "   "


def test_the_catalogues_around_the_active_one_are_shown() -> None:
    assert window([10, 10, 10], 0, 40) == (0, 2)
    assert window([10, 10, 10], 0, 24) == (0, 1)
    assert window([10, 10, 10], 2, 24) == (1, 2)
    assert window([50, 50], 1, 20) == (1, 1)


class Small(App[None]):
    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Bars(id="bars")
        yield Keys()


@pytest.mark.asyncio
async def test_bars_without_parts_take_no_room() -> None:
    app = Small()
    async with app.run_test(size=(40, 10)) as pilot:
        bars = app.query_one(Bars)
        bars.show(PARTS, 1.9)
        await pilot.pause()
        assert bars.get_content_height(app.size, app.size, 40) == len(PARTS) + 2
        bars.clear()
        assert bars.get_content_height(app.size, app.size, 40) == 0
