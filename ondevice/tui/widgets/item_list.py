"""The list of recommendations: rank, title, and one line of why."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ondevice.domain import Recommendation

INDENT = "\N{NO-BREAK SPACE}"  # ordinary leading space is not painted


class ItemList(OptionList):
    """Shows recommendations; keeps the cursor on its item, or at its place, when they change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Open the item", show=False, id="list.open"),
        Binding("j", "cursor_down", "Down", show=False, id="list.down"),
        Binding("k", "cursor_up", "Up", show=False, id="list.up"),
        Binding("g", "first", "First", show=False, id="list.first"),
        Binding("G", "last", "Last", show=False, id="list.last"),
    ]

    def show(self, items: Sequence[Recommendation], *, leave: Collection[str] = ()) -> None:
        """Replace the list by `items`.

        Args:
            items: what to show.
            leave: ids that the cursor does not follow to another place.
        """
        place, under = self.highlighted or 0, self.under_cursor
        self.clear_options()
        width = len(str(len(items)))
        self.add_options([Option(_label(one, width), id=one.item.id) for one in items])
        if under is not None and under not in leave:
            places = {one.item.id: at for at, one in enumerate(items)}
            place = places.get(under, place)
        if items:
            self.highlighted = min(place, len(items) - 1)

    @property
    def under_cursor(self) -> str | None:
        """The id of the item under the cursor."""
        option = self.highlighted_option
        return option.id if option is not None else None


def _label(shown: Recommendation, width: int) -> Content:
    head = Content.assemble((f"{shown.rank:>{width}} ", "$text-muted"), (shown.item.title, "bold"))
    if not shown.because:
        return head
    return Content("\n").join(
        [head, Content.styled(INDENT * (width + 1) + shown.because, "$text-muted")]
    )
