"""One item on a screen of its own: for narrow terminals, and for reading in full."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from ondevice.domain import Item
from ondevice.errors import OnDeviceError
from ondevice.service.recommend import why
from ondevice.tui.widgets.detail import Detail
from ondevice.tui.widgets.keys import Keys

if TYPE_CHECKING:
    from ondevice.tui.app import RecApp

Say = Callable[[Item, str, str], Any]  # (item, catalogue, verdict)


class ItemScreen(Screen[None]):
    """Description and why bars of one item; a verdict on it goes back to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", "Back", key_display="esc", id="item.back"),
        Binding("l", "say('like')", "Like", tooltip="More like this", id="item.like"),
        Binding("d", "say('less')", "Less", tooltip="Less like this", id="item.less"),
        Binding("h", "say('hide')", "Hide", tooltip="Never show this", id="item.hide"),
        Binding("j,down", "scroll(1)", "Down", show=False, id="item.down"),
        Binding("k,up", "scroll(-1)", "Up", show=False, id="item.up"),
    ]

    def __init__(self, item: Item, *, catalogue: str, say: Say) -> None:
        super().__init__()
        self._item, self._catalogue, self._say = item, catalogue, say

    def compose(self) -> ComposeResult:
        yield Detail(id="item-detail")
        yield Keys()

    def on_mount(self) -> None:
        self.query_one(Detail).show_item(self._item)
        self.explain()

    @work(exclusive=True)
    async def explain(self) -> None:
        """Ask the engine why."""
        app: RecApp = self.app  # type: ignore[assignment]  # this screen belongs to RecApp
        try:
            answer = await app.ask(why, self._item.id, catalogue=self._catalogue)
        except OnDeviceError as error:
            self.notify(error.hint, title=str(error), severity="warning")
            return
        self.query_one(Detail).show_why(answer)

    def action_say(self, verdict: str) -> None:
        self.dismiss()
        self._say(self._item, self._catalogue, verdict)

    def action_scroll(self, lines: int) -> None:
        self.query_one(Detail).scroll_relative(y=lines, animate=False)
