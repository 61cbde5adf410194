"""The list of recommendations: rank, title, and one line of why."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ondevice.domain import Recommendation


INDENT = "\N{NO-BREAK SPACE}"  # ordinary leading space is not painted


class ItemList(OptionList):
    """Shows recommendations; keeps the cursor where it was when the list changes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False, id="list.down"),
        Binding("k", "cursor_up", "Up", show=False, id="list.up"),
        Binding("g", "first", "First", show=False, id="list.first"),
        Binding("G", "last", "Last", show=False, id="list.last"),
    ]

    def show(self, items: Sequence[Recommendation]) -> None:
        """Replace the list by `items`."""
        place = self.highlighted or 0
        self.clear_options()
        width = len(str(len(items)))
        self.add_options([Option(_label(one, width), id=one.item.id) for one in items])
        if items:
            self.highlighted = min(place, len(items) - 1)


def _label(shown: Recommendation, width: int) -> Content:
    head = Content.assemble((f"{shown.rank:>{width}} ", "$text-muted"), (shown.item.title, "bold"))
    if not shown.because:
        return head
    return Content("\n").join(
        [head, Content.styled(INDENT * (width + 1) + shown.because, "$text-muted")]
    )
