"""For You: the list, one item in full, and what the list rests on."""

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import OptionList, Static

from ondevice.domain import Item, Recommendation
from ondevice.errors import NotReadyError, OnDeviceError
from ondevice.service.answers import Shown
from ondevice.service.catalogues import Entry
from ondevice.service.feedback import give
from ondevice.service.overview import overview
from ondevice.service.recommend import recommend, why
from ondevice.tui.widgets.catalogue_bar import CatalogueBar
from ondevice.tui.widgets.detail import Detail
from ondevice.tui.widgets.item_list import ItemList
from ondevice.tui.widgets.keys import Keys
from ondevice.tui.widgets.strip import Strip

if TYPE_CHECKING:
    from ondevice.tui.app import RecApp

LIMIT = 50  # items of the first page
WORDS = {"like": "More like", "less": "Less like", "hide": "Hidden:"}
GUIDE = """\
Your own list. It knows nothing of you yet and starts with what people like in general.
a: add something you did, liked or looked for
Or bring a file: ondevice-rec import jsonl FILE"""


class ForYou(Screen[None]):
    """Workers ask the engine; only this screen's own coroutines touch its widgets."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "app.help", "Help", key_display="?", id="app.help"),
        Binding("l", "say('like')", "Like", tooltip="More like this", id="item.like"),
        Binding("d", "say('less')", "Less", tooltip="Less like this", id="item.less"),
        Binding("h", "say('hide')", "Hide", tooltip="Never show this", id="item.hide"),
        Binding("slash", "search", "Search", key_display="/", id="list.search"),
        Binding("c", "catalogue(1)", "Catalogue", tooltip="Next catalogue", id="list.catalogue"),
        Binding("u", "undo", "Undo", tooltip="Take the last one back", id="item.undo"),
        Binding("C", "catalogue(-1)", "Previous catalogue", show=False, id="list.catalogue_back"),
        Binding("n", "noise", "With and without noise", show=False, id="list.noise"),
        Binding("a", "add", "Add what you did", show=False, id="list.add"),
        Binding("x", "own", "Start with my own", show=False, id="app.own"),
        Binding("J", "scroll_detail(1)", "Scroll the text down", show=False, id="item.down"),
        Binding("K", "scroll_detail(-1)", "Scroll the text up", show=False, id="item.up"),
        *(Binding(str(n), f"catalogue_at({n - 1})", show=False) for n in range(1, 10)),
    ]

    def __init__(self, *, sample: bool) -> None:
        super().__init__()
        self.sample = sample
        self.shown: Shown | None = None
        self._catalogues: tuple[Entry, ...] = ()
        self._wished: str | None = None  # the catalogue asked for last
        self._exact: bool | None = None  # None: as configured
        self._said: list[tuple[str, str]] = []  # (catalogue, item), newest last
        self._saying: set[tuple[str, str]] = set()  # on their way to the engine

    @property
    def rec(self) -> "RecApp":
        """The application, by its own type."""
        return self.app  # type: ignore[return-value]  # this screen belongs to RecApp

    def compose(self) -> ComposeResult:
        yield Strip("opening…", id="strip")
        yield CatalogueBar(id="catalogues")
        yield Static(id="note")
        with Horizontal(id="body"):
            yield ItemList(id="items")
            yield Detail(id="detail")
        yield Keys()

    def on_mount(self) -> None:
        self.query_one(ItemList).focus()
        self.call_after_refresh(self.load)  # the first frame is on the screen before this

    # --- loading -----------------------------------------------------------------------------

    @work(exclusive=True, group="load")
    async def load(self) -> None:
        """Open the world and show the default catalogue."""
        try:
            await self._reload()
        except OnDeviceError as error:
            self.rec.fail(error)

    @work(exclusive=True, group="load")
    async def show_catalogue(self, catalogue: str) -> None:
        """Show the list of `catalogue`, from its top."""
        try:
            await self._reload(top=catalogue != self._catalogue)
        except OnDeviceError as error:
            self._wished = self._catalogue
            self._explain(error)

    async def _reload(self, *, top: bool = False, leave: str | None = None) -> None:
        """Ask for the wished catalogue's list and paint it, unless the wish has changed."""
        wished = self._wished
        above = await self.rec.ask(overview)
        self.query_one("#strip", Strip).show(above.strip)
        self._catalogues = above.catalogues
        try:
            shown = await self.rec.ask(
                recommend,
                catalogue=wished,
                limit=LIMIT,
                exact=self._exact,
                remember=self._exact is None,
            )
        except NotReadyError as error:
            if self.shown is not None:
                raise
            self.query_one("#note", Static).update(f"{error}\n{error.hint}")
            return
        if wished != self._wished:
            return
        self._wished = shown.catalogue
        self._note(() if above.behaviours else (GUIDE,), shown)
        self._paint(shown, top=top, leave=leave)

    def _paint(self, shown: Shown, *, top: bool, leave: str | None) -> None:
        self.shown = shown
        items = self.query_one(ItemList)
        if top:
            items.highlighted = None
        items.show(shown.items, leave={leave} if leave else ())
        if not shown.items:
            self.query_one(Detail).clear("Nothing left to show here: choose another catalogue (c).")
        ids = [one.id for one in self._catalogues]
        self.query_one(CatalogueBar).show(
            [one.title for one in self._catalogues], ids.index(shown.catalogue)
        )

    def _note(self, guide: tuple[str, ...], shown: Shown) -> None:
        lines = guide or shown.notes
        note = self.query_one("#note", Static)
        note.update("\n".join(lines))
        note.display = bool(lines)

    def _explain(self, error: OnDeviceError) -> None:
        self.notify(error.hint or "see ondevice-rec doctor", title=str(error), severity="warning")

    # --- the item under the cursor -----------------------------------------------------------

    @property
    def _catalogue(self) -> str | None:
        return self.shown.catalogue if self.shown else None

    def current(self) -> Recommendation | None:
        """The item under the cursor."""
        place = self.query_one(ItemList).highlighted
        if self.shown is None or place is None or place >= len(self.shown.items):
            return None
        return self.shown.items[place]

    @on(OptionList.OptionHighlighted, "#items")
    def _look(self) -> None:
        chosen = self.current()
        if chosen is not None and self._catalogue is not None:
            self.query_one(Detail).show_item(chosen.item)
            self.explain(chosen, self._catalogue)

    @work(exclusive=True, group="why")
    async def explain(self, chosen: Recommendation, catalogue: str) -> None:
        """Fill in the bars of `chosen`, if it is still the one under the cursor."""
        try:
            answer = await self.rec.ask(why, chosen.item.id, catalogue=catalogue, exact=self._exact)
        except OnDeviceError as error:
            self._explain(error)
            return
        if self.current() is chosen:
            self.query_one(Detail).show_why(answer)

    @on(OptionList.OptionSelected, "#items")
    def _open(self) -> None:
        from ondevice.tui.screens.item import ItemScreen

        chosen = self.current()
        if chosen is not None and self._catalogue is not None:
            self.app.push_screen(ItemScreen(chosen.item, catalogue=self._catalogue, say=self.say))

    # --- what the person says ----------------------------------------------------------------

    def action_say(self, verdict: str) -> None:
        chosen = self.current()
        if chosen is not None and self._catalogue is not None:
            self.say(chosen.item, self._catalogue, verdict)

    @work(group="say")
    async def say(self, item: Item, catalogue: str, verdict: str) -> None:
        """Record a verdict and show the list that follows; a second one meanwhile is too many."""
        key = (catalogue, item.id)
        if key in self._saying:
            return
        self._saying.add(key)
        try:
            await self.rec.ask(give, item.id, verdict, catalogue=catalogue)
            self._said.append(key)
            self.notify(f"{WORDS[verdict]} {item.title} · u takes it back", timeout=3, markup=False)
            await self._reload(leave=item.id)
        except OnDeviceError as error:
            self._explain(error)
        finally:
            self._saying.discard(key)

    @work(group="say")
    async def action_undo(self) -> None:
        if not self._said:
            self.notify("There is nothing to take back in this session.", timeout=3)
            return
        catalogue, item = self._said.pop()
        try:
            entry = await self.rec.ask(give, item, "undo", catalogue=catalogue)
            self.notify(f"Taken back: {entry.title}", timeout=3, markup=False)
            await self._reload(leave=item)
        except OnDeviceError as error:
            self._explain(error)

    # --- moving ------------------------------------------------------------------------------

    def action_catalogue(self, step: int) -> None:
        ids = [one.id for one in self._catalogues]
        if self._wished in ids:
            self.action_catalogue_at((ids.index(self._wished) + step) % len(ids))

    def action_catalogue_at(self, place: int) -> None:
        if place >= len(self._catalogues) or self._wished is None:
            return
        self._wished = self._catalogues[place].id
        self.query_one(CatalogueBar).show([one.title for one in self._catalogues], place)
        self.show_catalogue(self._wished)

    def action_noise(self) -> None:
        """Look at the list without the noise, or with it again; nothing is remembered of it."""
        if self.shown is not None:
            self._exact = None if self._exact is not None else not self.shown.exact
            self.refresh_list()

    def action_scroll_detail(self, lines: int) -> None:
        self.query_one(Detail).scroll_relative(y=lines, animate=False)

    def action_search(self) -> None:
        from ondevice.tui.screens.search import Search

        if self.shown is not None:
            self.app.push_screen(Search(self.shown.catalogue, self.shown.title, say=self.say))

    def action_add(self) -> None:
        from ondevice.tui.screens.add import Add

        def done(recorded: bool | None) -> None:  # noqa: FBT001  # Textual calls it
            if recorded:
                self.refresh_list()

        self.app.push_screen(Add(), done)

    @work(group="say")
    async def refresh_list(self) -> None:
        """Show what the list is now."""
        try:
            await self._reload()
        except OnDeviceError as error:
            self._explain(error)

    def action_own(self) -> None:
        """Leave the sample person: the same screen, on this person's own home."""
        if not self.sample:
            return
        self.workers.cancel_node(self)
        self.sample, self.shown, self._wished, self._catalogues = False, None, None, ()
        self._exact = None
        self._said.clear()
        self._saying.clear()
        self.rec.start_own()
        self.query_one("#strip", Strip).show("opening…")
        self.query_one(ItemList).clear_options()
        self.query_one(Detail).clear()
        self.refresh_bindings()
        self.load()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """`x` exists only beside the sample person."""
        return self.sample if action == "own" else True
