"""Every key of the screen below, from its own bindings; and what the marks mean."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

WORDS = """\
The list is ranked on this device, from a profile that noise protects.
█ what you did   ░ noise   ▒ where everybody starts
+ lifts an item, - lowers it; the shares sum to the score.
“Like”, “less” and “hide” act on your own list at once; u takes them back.
Nothing is sent anywhere. Nothing others can see says for sure what you did."""


class Help(ModalScreen[None]):
    """Contextual help, opened over any screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Back", id="help.back"),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help-box"):
            yield Static(Content.styled("Keys", "bold"))
            yield Static(self._keys(), id="help-keys")
            yield Static(Content.styled("What you see", "bold"), classes="gap")
            yield Static(Content(WORDS))
            yield Static(Content.styled("esc goes back", "$text-muted"), classes="gap")

    def action_scroll(self, lines: int) -> None:
        self.query_one("#help-box").scroll_relative(y=lines, animate=False)

    def _keys(self) -> Content:
        below = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else self
        told = [one for one in below.active_bindings.values() if one.enabled and one.binding.id]
        rows: dict[str, tuple[str, list[str]]] = {}  # action → what it does, its keys
        for binding in sorted((one.binding for one in told), key=lambda binding: not binding.show):
            says = binding.tooltip or binding.description
            key = self.app.get_key_display(binding)
            rows.setdefault(binding.action, (says, []))[1].append(key)
        lines = [
            Content.assemble((f"{' '.join(keys):>7}", "bold $accent"), f"  {says}")
            for says, keys in rows.values()
        ]
        if any(one.binding.action == "catalogue(1)" for one in told):
            lines.append(Content.assemble(("1 … 9".rjust(7), "bold $accent"), "  That catalogue"))
        return Content("\n").join(lines)
