"""The application: one engine, one main screen. It holds no logic of its own."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Concatenate, ParamSpec, TypeVar

from textual.app import App
from textual.binding import Binding, BindingType

from ondevice.errors import OnDeviceError
from ondevice.service.opening import opening
from ondevice.service.session import Session
from ondevice.tui.engine import Engine
from ondevice.tui.screens.for_you import ForYou

if TYPE_CHECKING:
    from textual.screen import Screen

P = ParamSpec("P")
T = TypeVar("T")


class RecApp(App[None]):
    """For You, on a home or on the sample person's throw-away one."""

    TITLE = "ondevice-rec"
    CSS_PATH = "styles/app.tcss"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012  # Textual declares it per instance
        (0, "-narrow"),
        (64, "-normal"),
        (110, "-wide"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", show=False, id="app.quit"),
        Binding("question_mark", "help", "Help", key_display="?", show=False, id="app.help_here"),
    ]

    def __init__(self, *, home: Path | None = None, demo: bool = False) -> None:
        super().__init__()
        self.failure: OnDeviceError | None = None
        self._demo = demo
        self._engine = Engine(lambda: opening(home, demo=demo))
        self._left: list[Engine] = []

    def on_mount(self) -> None:
        """Leave in order when the terminal is closed or the process is asked to end."""
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            for one in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(one, self.exit)

    def on_unmount(self) -> None:
        """Let the engine end; `close` waits for it, after the terminal has been given back."""
        self._engine.stop()

    def close(self) -> None:
        """Wait until every session is closed and a throw-away home is gone."""
        for engine in (*self._left, self._engine):
            engine.close()

    def get_default_screen(self) -> "Screen[None]":
        return ForYou(sample=self._demo)

    async def ask(
        self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(session, …)` in the engine's thread; the UI thread goes on meanwhile."""
        return await self._engine.call(work, *args, **kwargs)

    def fail(self, error: OnDeviceError) -> None:
        """Leave: the home could not be opened. `run` prints why and what to do."""
        self.failure = error
        self.exit(return_code=error.exit_code)

    def start_own(self) -> None:
        """Close the sample person's home, and open this person's own at the next question."""
        self._engine.stop()
        self._left.append(self._engine)
        self._engine = Engine(lambda: opening(None, demo=False))

    def action_help(self) -> None:
        from ondevice.tui.screens.help import Help

        if not isinstance(self.screen, Help):
            self.push_screen(Help())
