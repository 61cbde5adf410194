"""Search a catalogue by meaning. Nothing that is typed here is recorded."""

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Input, OptionList, Static

from ondevice.errors import OnDeviceError
from ondevice.service.answers import Found
from ondevice.service.recommend import search
from ondevice.tui.screens.item import ItemScreen
from ondevice.tui.widgets.item_list import ItemList

if TYPE_CHECKING:
    from ondevice.tui.app import RecApp

LIMIT = 50


class Search(Screen[None]):
    """An input line and what it finds."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back", id="search.back"),
        Binding("down", "to_list", "Results", show=False, id="search.results"),
    ]

    def __init__(self, *, catalogue: str, title: str) -> None:
        super().__init__()
        self._catalogue, self._name = catalogue, title
        self._found: Found | None = None

    def compose(self) -> ComposeResult:
        yield Input(placeholder=f"Search {self._name} by meaning, then Enter", id="query")
        yield Static("Nothing you type here is recorded or sent.", id="search-note")
        yield ItemList(id="found")
        yield Footer(show_command_palette=False)

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
            note.update(f"{error} {error.hint}")
            return
        self._found = result
        note.update(f"{len(result.items)} nearest to “{text}”. Enter opens one.")
        found = self.query_one(ItemList)
        found.show(result.items)
        found.focus()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        if self._found is not None:
            chosen = self._found.items[event.option_index]
            self.app.push_screen(ItemScreen(chosen.item, catalogue=self._catalogue))

    def action_to_list(self) -> None:
        self.query_one(ItemList).focus()
