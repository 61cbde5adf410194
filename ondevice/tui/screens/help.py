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
“Like”, “less” and “hide” act on your own list at once; u takes them back.
Nothing is sent anywhere. Nothing others can see says for sure what you did."""


class Help(ModalScreen[None]):
    """Contextual help, opened over any screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Back", id="help.back"),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help-box"):
            yield Static(Content.styled("Keys", "bold"))
            yield Static(self._keys())
            yield Static(Content.styled("What you see", "bold"), classes="gap")
            yield Static(Content(WORDS))

    def _keys(self) -> Content:
        below = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else None
        lines = []
        if below is not None:
            for active in below.active_bindings.values():
                binding = active.binding
                if binding.description and active.enabled and not binding.system:
                    key = self.app.get_key_display(binding)
                    says = binding.tooltip or binding.description
                    lines.append(Content.assemble((f"{key:>7}", "bold $accent"), f"  {says}"))
        return Content("\n").join(lines)
