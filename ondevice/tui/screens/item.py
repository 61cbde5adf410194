"""One item on a screen of its own: for narrow terminals, and for reading in full."""

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer

from ondevice.domain import Item
from ondevice.service.recommend import why
from ondevice.tui.widgets.detail import Detail

if TYPE_CHECKING:
    from ondevice.tui.app import RecApp


class ItemScreen(Screen[None]):
    """Description and why bars of one item."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", "Back", id="item.back"),
        Binding("j,down", "scroll(1)", "Down", show=False, id="item.down"),
        Binding("k,up", "scroll(-1)", "Up", show=False, id="item.up"),
    ]

    def __init__(self, item: Item, *, catalogue: str) -> None:
        super().__init__()
        self._item, self._catalogue = item, catalogue

    def compose(self) -> ComposeResult:
        yield Detail(id="item-detail")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(Detail).show_item(self._item)
        self.explain()

    @work(exclusive=True)
    async def explain(self) -> None:
        """Ask the engine why."""
        app: RecApp = self.app  # type: ignore[assignment]  # this screen belongs to RecApp
        answer = await app.ask(why, self._item.id, catalogue=self._catalogue)
        self.query_one(Detail).show_why(answer)

    def action_scroll(self, lines: int) -> None:
        self.query_one(Detail).scroll_relative(y=lines, animate=False)
