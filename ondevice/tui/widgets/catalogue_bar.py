"""Which catalogue is shown, and which others there are: one line at any width."""

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

GAP = 1  # each name brings a cell for its mark


class CatalogueBar(Widget):
    """Paints names with the digit that chooses each; ‹ and › say that there are more."""

    can_focus = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self._titles: tuple[str, ...] = ()
        self._active = 0

    def show(self, names: Sequence[str], active: int) -> None:
        """Paint `names`, the one at `active` marked."""
        self._titles, self._active = tuple(names), active
        self.refresh()

    def render(self) -> Content:
        if not self._titles:
            return Content("")
        width = self.content_size.width
        first, last = window([len(one) + 3 for one in self._titles], self._active, width)
        before = "‹ " if first else ""
        after = " ›" if last < len(self._titles) - 1 else ""
        room = width - len(before) - len(after)
        names = [self._painted(place, room) for place in range(first, last + 1)]
        return Content.assemble((before, "bold"), Content(" " * GAP).join(names), (after, "bold"))

    def _painted(self, place: int, room: int) -> Content:
        name = self._titles[place]
        if len(name) + 3 > room:
            name = name[: room - 4] + "…"
        mark, style = ("▸", "bold $text-primary underline") if place == self._active else (" ", "")
        link = Content.from_markup(
            f"[@click=screen.catalogue_at({place})]$words[/]", words=f"{place + 1} {name}"
        )
        return Content.assemble((mark, "bold"), link.stylize(style) if style else link)


def window(widths: Sequence[int], active: int, room: int) -> tuple[int, int]:
    """Return the first and last name that are painted: the active one and what fits around it."""
    first = last = active
    while True:
        for try_first, try_last in ((first, last + 1), (first - 1, last)):
            if try_first >= 0 and try_last < len(widths):
                count = try_last - try_first + 1
                marks = 2 * (try_first > 0) + 2 * (try_last < len(widths) - 1)
                if sum(widths[try_first : try_last + 1]) + GAP * (count - 1) + marks <= room:
                    first, last = try_first, try_last
                    break
        else:
            return first, last
