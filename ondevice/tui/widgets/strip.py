"""The top strip: parts that wrap between each other and never inside."""

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

DOT = " · "


class Strip(Widget):
    """Paints its parts in as few lines as the width allows; a part with a deed can be clicked."""

    can_focus = False

    def __init__(self, *parts: str, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self._parts = parts

    @property
    def text(self) -> str:
        """All of it in one line."""
        return DOT.join(self._parts)

    def show(self, text: str) -> None:
        """Paint `text`, whose parts are joined by middle dots."""
        self._parts = tuple(text.split(DOT))
        self.refresh(layout=True)

    def render(self) -> Content:
        lines = wrapped(self._parts, self.content_size.width)
        return Content("\n").join([_clickable(line) for line in lines])

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return len(wrapped(self._parts, width))


def wrapped(parts: Sequence[str], width: int) -> list[str]:
    """Join `parts` by dots into lines of at most `width` cells; a dot ends a line that goes on.

    A part longer than a line gets a line of its own.
    """
    lines = [""]
    for place, part in enumerate(parts):
        end = DOT.rstrip() if place < len(parts) - 1 else ""
        joined = f"{lines[-1]} {part}{end}" if lines[-1] else part + end
        if lines[-1] and len(joined) > width:
            lines.append(part + end)
        else:
            lines[-1] = joined
    return lines


def _clickable(line: str) -> Content:
    """Make the part that names the key `x` or `a` act on a click as well."""
    for key, action in (("x: ", "screen.own"), ("a: ", "screen.add")):
        head, found, tail = line.rpartition(key)
        if found and (not head or head.endswith(" ")):
            link = Content.from_markup(f"[@click={action}]$words[/]", words=key + tail)
            return Content.assemble(head, link)
    return Content(line)
