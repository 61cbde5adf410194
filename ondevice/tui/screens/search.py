"""Search a catalogue by meaning. Nothing that is typed here is recorded."""

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static

from ondevice.errors import OnDeviceError
from ondevice.service.answers import Found
from ondevice.service.recommend import search
from ondevice.tui.screens.item import ItemScreen, Say
from ondevice.tui.widgets.item_list import ItemList
from ondevice.tui.widgets.keys import Keys

if TYPE_CHECKING:
    from ondevice.tui.app import RecApp

LIMIT = 50


class Search(Screen[None]):
    """An input line and what it finds."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back", key_display="esc", id="search.back"),
        Binding("down", "to_list", "Results", key_display="↓", id="search.results"),
        Binding("slash", "to_query", "Search again", key_display="/", id="search.again"),
    ]

    def __init__(self, catalogue: str, title: str, *, say: Say) -> None:
        super().__init__()
        self._catalogue, self._heading, self._say = catalogue, title, say
        self._found: Found | None = None

    def compose(self) -> ComposeResult:
        yield Input(placeholder="Search by meaning, then Enter", id="query")
        yield Static(
            f"In {self._heading}. Nothing you type here is recorded or sent.",
            id="search-note",
            markup=False,
        )
        yield ItemList(id="found")
        yield Keys()

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.look_up(event.value)

    @work(exclusive=True)
    async def look_up(self, text: str) -> None:
        """Ask the engine, show what it finds."""
        app: RecApp = self.app  # type: ignore[assignment]  # this screen belongs to RecApp
        note = self.query_one("#search-note", Static)
        note.update("looking…")
        try:
            result = await app.ask(search, text, catalogue=self._catalogue, limit=LIMIT)
        except OnDeviceError as error:
            note.update(f"{error}. {error.hint}")
            return
        self._found = result
        note.update(f"{len(result.items)} nearest to “{text}”, the nearest first. Enter opens one.")
        found = self.query_one(ItemList)
        found.highlighted = None
        found.show(result.items)
        found.focus()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        if self._found is not None:
            chosen = self._found.items[event.option_index]
            self.app.push_screen(ItemScreen(chosen.item, catalogue=self._catalogue, say=self._say))

    def action_to_list(self) -> None:
        self.query_one(ItemList).focus()

    def action_to_query(self) -> None:
        self.query_one(Input).focus()
