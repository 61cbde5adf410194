"""Why an item is here, as bars that need no colour: sign, length and texture carry the meaning."""

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from ondevice.domain import Part

TEXTURE = {"noise": "░", "prior": "▒", "popularity": "▒"}
STYLE = {"noise": "$text-muted", "prior": "$text-secondary", "popularity": "$text-secondary"}
EIGHTHS = " ▏▎▍▌▋▊▉"
ROOMY = ((60, 20), (46, 12), (0, 8))  # (from so many cells of width, cells of the longest bar)
NOISE_SAYS = "░ noise: nobody else can be sure"


class Bars(Widget):
    """Paints the parts of one score."""

    can_focus = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self.parts: tuple[Part, ...] = ()
        self.score = 0.0

    def show(self, parts: Sequence[Part], score: float) -> None:
        """Paint `parts`, which sum to `score`."""
        self.parts, self.score = tuple(parts), score
        self.refresh(layout=True)

    def clear(self) -> None:
        """Paint nothing."""
        self.show((), 0.0)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return len(self._lines(width))

    def render(self) -> Content:
        return Content("\n").join(self._lines(self.content_size.width))

    def _lines(self, width: int) -> list[Content]:
        if not self.parts:
            return []
        longest = next(cells for least, cells in ROOMY if width >= least)
        largest = max(abs(part.share) for part in self.parts)
        lines = [Content.styled(f"why · score {self.score:+.2f}", "bold")]
        lines += [_line(part, largest, longest) for part in self.parts]
        if any(part.kind == "noise" for part in self.parts):
            lines.append(Content.styled(NOISE_SAYS, "$text-muted"))
        return lines


def bar(share: float, *, largest: float, cells: int, texture: str = "█") -> str:
    """Return a bar of `share`, padded to `cells`, where `largest` fills them all.

    Full blocks are exact to an eighth of a cell, other textures to a whole one.
    """
    eighths = round(8 * cells * abs(share) / largest) if largest else 0
    if texture == "█":
        drawn = "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
    else:
        drawn = texture * round(eighths / 8)
    return drawn.ljust(cells)


def _line(part: Part, largest: float, cells: int) -> Content:
    drawn = bar(part.share, largest=largest, cells=cells, texture=TEXTURE.get(part.kind, "█"))
    style = STYLE.get(part.kind, "$text-success" if part.share >= 0 else "$text-warning")
    return Content.assemble((f"{part.share:+6.2f} ", ""), (drawn, style), f" {part.label}")
