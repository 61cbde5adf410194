"""A progress bar on stderr: drawn over itself on a terminal, a line now and then elsewhere."""

from types import TracebackType
from typing import Self, TextIO

_WIDTH = 30
_QUIET_STEPS = 10  # lines in all where nobody watches


class Bar:
    """Use as a context; `show` fits the `progress` argument of `build`."""

    def __init__(self, label: str, *, stream: TextIO) -> None:
        self._label, self._stream = label, stream
        self._live = stream.isatty()
        self._drawn = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live and self._drawn >= 0:
            self._stream.write("\n")

    def show(self, done: int, total: int) -> None:
        """Draw, if that would look any different."""
        step = done * (_WIDTH if self._live else _QUIET_STEPS) // max(total, 1)
        if step == self._drawn and done < total:
            return
        self._drawn = step
        text = f"{self._label} {done:,} of {total:,}"
        if self._live:
            self._stream.write(f"\r{text} [{'█' * step}{'·' * (_WIDTH - step)}]")
        else:
            self._stream.write(text + "\n")
        self._stream.flush()
