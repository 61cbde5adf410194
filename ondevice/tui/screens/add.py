"""Record something by hand: one line, and what kind of deed it was."""

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Select, Static

from ondevice.domain import Kind
from ondevice.errors import OnDeviceError
from ondevice.service.behave import log_one

if TYPE_CHECKING:
    from ondevice.tui.app import RecApp


class Add(ModalScreen[bool]):
    """Closes with True when something was recorded."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(False)", "Back", key_display="esc", id="add.back"),
    ]

    def compose(self) -> ComposeResult:
        with Vertical(id="add-box"):
            yield Static("What did you do, like or look for?")
            yield Input(placeholder="for example: baked rye bread", id="add-text")
            yield Select([(k.value, k) for k in Kind], value=Kind.LIKE, allow_blank=False)
            yield Static("Stays on this device, encrypted. Enter records it.", id="add-note")

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        kind = self.query_one(Select).value
        if event.value.strip() and isinstance(kind, Kind):
            self.record(event.value, kind)

    @work(exclusive=True)
    async def record(self, text: str, kind: Kind) -> None:
        """Ask the engine to record it; close when it is on disk."""
        app: RecApp = self.app  # type: ignore[assignment]  # this screen belongs to RecApp
        try:
            await app.ask(log_one, text, kind=kind)
        except OnDeviceError as error:
            self.query_one("#add-note", Static).update(f"{error}. {error.hint}")
            return
        self.dismiss(result=True)
