"""Why an item is here, as bars that need no colour: sign, length and texture carry the meaning."""

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from ondevice.domain import Part

FILL = {"noise": "░", "prior": "▒", "popularity": "▒"}
STYLE = {"noise": "$text-muted", "prior": "$text-secondary", "popularity": "$text-secondary"}
BAR = 12


class Bars(Static):
    """Paints the parts of one score."""

    def show(self, parts: Sequence[Part], score: float) -> None:
        """Paint `parts`, which sum to `score`."""
        largest = max((abs(part.share) for part in parts), default=0.0)
        lines = [Content.styled(f"why · score {score:+.2f}", "bold")]
        lines += [_line(part, largest) for part in parts]
        if any(part.kind == "noise" for part in parts):
            lines.append(
                Content.styled("░ noise: what keeps others from being sure", "$text-muted")
            )
        self.update(Content("\n").join(lines))


def _line(part: Part, largest: float) -> Content:
    length = round(BAR * abs(part.share) / largest) if largest else 0
    bar = (FILL.get(part.kind, "█") * length).ljust(BAR)
    style = STYLE.get(part.kind, "$success" if part.share >= 0 else "$warning")
    return Content.assemble((f"{part.share:+6.2f} ", ""), (bar, style), f" {part.label}")
