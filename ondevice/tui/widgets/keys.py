"""The footer: the keys that fit, each of them whole."""

from textual.app import ComposeResult
from textual.events import Resize
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

NARROW = 64  # columns below which keys stand closer together


class Keys(Footer):
    """A footer without half keys; what doesn't fit is in the help."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def compose(self) -> ComposeResult:
        room, tight = self.app.size.width, self.app.size.width < NARROW
        self.compact = tight
        for child in super().compose():
            if isinstance(child, FooterKey):
                # "k Word " where it is tight, " k Word " where it is not
                room -= len(child.key_display) + len(child.description) + (2 if tight else 3)
                if room < (-1 if tight else 0):
                    return
            yield child

    async def on_resize(self, _event: Resize) -> None:
        """Choose again what fits."""
        await self.recompose()
