"""For You: the list, one item in full, and what the list rests on."""

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static, Tab, Tabs

from ondevice.domain import Recommendation
from ondevice.errors import NotReadyError, OnDeviceError
from ondevice.service.answers import Shown
from ondevice.service.feedback import give
from ondevice.service.overview import overview
from ondevice.service.recommend import recommend, why
from ondevice.tui.widgets.detail import Detail
from ondevice.tui.widgets.item_list import ItemList

if TYPE_CHECKING:
    from ondevice.tui.app import RecApp

LIMIT = 50  # items of the first page


class ForYou(Screen[None]):
    """Workers ask the engine; only this screen's own coroutines touch its widgets."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "app.help", "Help", key_display="?", id="app.help"),
        Binding("l", "say('like')", "Like", tooltip="More like this", id="item.like"),
        Binding("d", "say('less')", "Less", tooltip="Less like this", id="item.less"),
        Binding("h", "say('hide')", "Hide", tooltip="Never show this", id="item.hide"),
        Binding("u", "undo", "Undo", tooltip="Take the last one back", id="item.undo"),
        Binding("slash", "search", "Search", key_display="/", id="list.search"),
        Binding("c", "catalogue(1)", "Catalogue", tooltip="Next catalogue", id="list.catalogue"),
        Binding("C", "catalogue(-1)", "Catalogue back", show=False, id="list.catalogue_back"),
        Binding("a", "add", "Add what you did", show=False, id="list.add"),
        Binding("x", "own", "Start with my own", show=False, id="app.own"),
        *(
            Binding(str(n), f"catalogue_at({n - 1})", f"Catalogue {n}", show=False)
            for n in range(1, 10)
        ),
    ]

    def __init__(self, *, sample: bool) -> None:
        super().__init__()
        self.sample = sample
        self.shown: Shown | None = None
        self._said: list[tuple[str, str]] = []  # (catalogue, item), newest last

    @property
    def rec(self) -> "RecApp":
        """The application, by its own type."""
        return self.app  # type: ignore[return-value]  # this screen belongs to RecApp

    def compose(self) -> ComposeResult:
        yield Static("opening…", id="strip")
        yield Tabs(id="catalogues")
        with Horizontal(id="body"):
            yield ItemList(id="items")
            yield Detail(id="detail")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(ItemList).focus()
        self.query_one("#catalogues", Tabs).can_focus = False
        self.call_after_refresh(self.load)  # the first frame is on the screen before this

    # --- loading -----------------------------------------------------------------------------

    @work(exclusive=True, group="load")
    async def load(self) -> None:
        """Open the world and show the default catalogue."""
        try:
            above = await self.rec.ask(overview)
            self.query_one("#strip", Static).update(above.strip)
            tabs = self.query_one("#catalogues", Tabs)
            for one in above.catalogues:
                await tabs.add_tab(Tab(one.title, id=f"cat-{one.id}"))
            shown = await self.rec.ask(recommend, limit=LIMIT)
        except NotReadyError as error:
            self._explain(error)
            return
        except OnDeviceError as error:
            self.rec.fail(error)
            return
        with self.prevent(Tabs.TabActivated):
            tabs.active = f"cat-{shown.catalogue}"
        self._paint(shown)

    @work(exclusive=True, group="load")
    async def show_catalogue(self, catalogue: str) -> None:
        """Show the list of `catalogue`."""
        await self._reload(catalogue)

    async def _reload(self, catalogue: str | None) -> None:
        try:
            self._paint(await self.rec.ask(recommend, catalogue=catalogue, limit=LIMIT))
            above = await self.rec.ask(overview)
            self.query_one("#strip", Static).update(above.strip)
        except OnDeviceError as error:
            self._explain(error)

    def _paint(self, shown: Shown) -> None:
        self.shown = shown
        self.query_one(ItemList).show(shown.items)
        if not shown.items:
            self.query_one(Detail).clear("Nothing left to show here: choose another catalogue (c).")
        self.sub_title = shown.title
        for note in shown.notes:
            self.query_one(ItemList).border_subtitle = note

    def _explain(self, error: OnDeviceError) -> None:
        self.notify(error.hint or "see ondevice-rec doctor", title=str(error), severity="warning")

    # --- the item under the cursor -----------------------------------------------------------

    def current(self) -> Recommendation | None:
        """The item under the cursor."""
        place = self.query_one(ItemList).highlighted
        if self.shown is None or place is None or place >= len(self.shown.items):
            return None
        return self.shown.items[place]

    @on(OptionList.OptionHighlighted, "#items")
    def _look(self) -> None:
        chosen = self.current()
        if chosen is not None:
            self.query_one(Detail).show_item(chosen.item)
            self.explain(chosen)

    @work(exclusive=True, group="why")
    async def explain(self, chosen: Recommendation) -> None:
        """Fill in the bars of `chosen`, if it is still the one under the cursor."""
        if self.shown is None:
            return
        answer = await self.rec.ask(why, chosen.item.id, catalogue=self.shown.catalogue)
        if self.current() is chosen:
            self.query_one(Detail).show_why(answer)

    @on(OptionList.OptionSelected, "#items")
    def _open(self) -> None:
        from ondevice.tui.screens.item import ItemScreen

        chosen = self.current()
        if chosen is not None and self.shown is not None:
            self.app.push_screen(ItemScreen(chosen.item, catalogue=self.shown.catalogue))

    # --- what the person says ----------------------------------------------------------------

    @work(group="say")
    async def action_say(self, verdict: str) -> None:
        chosen = self.current()
        if chosen is None or self.shown is None:
            return
        catalogue = self.shown.catalogue
        try:
            await self.rec.ask(give, chosen.item.id, verdict, catalogue=catalogue)
        except OnDeviceError as error:
            self._explain(error)
            return
        self._said.append((catalogue, chosen.item.id))
        words = {"like": "More like", "less": "Less like", "hide": "Hidden:"}[verdict]
        self.notify(f"{words} {chosen.item.title} · u takes it back", timeout=4)
        await self._reload(catalogue)

    @work(group="say")
    async def action_undo(self) -> None:
        if not self._said:
            self.notify("There is nothing to take back in this session.", timeout=3)
            return
        catalogue, item = self._said.pop()
        try:
            entry = await self.rec.ask(give, item, "undo", catalogue=catalogue)
        except OnDeviceError as error:
            self._explain(error)
            return
        self.notify(f"Taken back: {entry.title}", timeout=3)
        await self._reload(self.shown.catalogue if self.shown else None)

    # --- moving ------------------------------------------------------------------------------

    @on(Tabs.TabActivated, "#catalogues")
    def _tab(self, event: Tabs.TabActivated) -> None:
        name = (event.tab.id or "").removeprefix("cat-")
        if self.shown is not None and name != self.shown.catalogue:
            self.query_one(ItemList).highlighted = None
            self.show_catalogue(name)

    def action_catalogue(self, step: int) -> None:
        tabs = self.query_one("#catalogues", Tabs)
        if step > 0:
            tabs.action_next_tab()
        else:
            tabs.action_previous_tab()

    def action_catalogue_at(self, place: int) -> None:
        tabs = list(self.query_one("#catalogues", Tabs).query(Tab))
        if place < len(tabs):
            self.query_one("#catalogues", Tabs).active = tabs[place].id or ""

    def action_search(self) -> None:
        from ondevice.tui.screens.search import Search

        if self.shown is not None:
            self.app.push_screen(Search(catalogue=self.shown.catalogue, title=self.shown.title))

    @work
    async def action_add(self) -> None:
        from ondevice.tui.screens.add import Add

        if await self.app.push_screen_wait(Add()):
            await self._reload(self.shown.catalogue if self.shown else None)

    def action_own(self) -> None:
        if self.sample:
            self.rec.start_own()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """`x` exists only beside the sample person."""
        return self.sample if action == "own" else True
