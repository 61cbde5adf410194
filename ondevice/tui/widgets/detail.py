"""One item in full: what it is, and why it is here."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from ondevice.domain import Item
from ondevice.service.answers import Why
from ondevice.tui.widgets.bars import Bars


class Detail(VerticalScroll):
    """Paints an item at once, and its explanation when that has been computed."""

    can_focus = False

    def compose(self) -> ComposeResult:
        yield Static(id="detail-head")
        yield Static(id="detail-text")
        yield Bars(id="detail-why")

    def show_item(self, item: Item) -> None:
        """Paint what is known without any computation."""
        self.scroll_home(animate=False)
        self.query_one("#detail-head", Static).update(
            Content("\n").join(
                [Content.styled(item.title, "bold $text-primary"), Content(facts(item))]
            )
        )
        self.query_one("#detail-text", Static).update(Content(item.description))
        self.query_one(Bars).clear()

    def show_why(self, why: Why) -> None:
        """Paint the bars of the item that is shown."""
        self.query_one(Bars).show(why.brief(), why.score)

    def clear(self, message: str = "") -> None:
        """Paint nothing but `message`."""
        self.query_one("#detail-head", Static).update(Content(message))
        self.query_one("#detail-text", Static).update("")
        self.query_one(Bars).clear()


def facts(item: Item) -> str:
    """The item's category, tags, date, price and rating in one line."""
    parts = [item.category, *(tag for tag in item.tags if tag != item.category)]
    if item.date:
        parts.append(item.date)
    if item.price is not None:
        parts.append(f"price {item.price:.2f}")
    if item.rating is not None:
        parts.append(f"rated {item.rating:.1f} of 5")
    return " · ".join(part for part in parts if part)
