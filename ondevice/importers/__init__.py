"""Where behaviours come from: one source, one module, loaded when it is asked for.

A reader is a function `(source, *, now, name) -> Iterator[Behaviour | Dropped]`. It streams, it
cleans and masks every text, and it drops what it refuses with a line number and a reason.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Protocol, cast

from ondevice.domain import Behaviour
from ondevice.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A line that became no behaviour, and why. The reason never quotes the text."""

    line: int  # from 1
    reason: str


class Reader(Protocol):
    """What every source offers."""

    def __call__(
        self, source: Path | BinaryIO, *, now: datetime, name: str = ...
    ) -> Iterator[Behaviour | Dropped]:
        """Yield what `source` holds, in its order.

        Raises:
            ConfigError: `source` cannot be read, is empty, or is not of this kind at all.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One entry of the registry."""

    reader: str  # "module:function"
    description: str  # one line for `import --list`


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "export": Source(
            reader="ondevice.importers.export:read",
            description="a folder that `ondevice-rec export DIR` has written, without loss",
        ),
        "jsonl": Source(
            reader="ondevice.importers.jsonl:read",
            description='JSON lines {"text","kind","item","at","catalogue"}, plain or gzipped',
        ),
    }
)


def reader(name: str) -> Reader:
    """Return the reader of the source `name`.

    Raises:
        ConfigError: there is no such source.
    """
    if name not in SOURCES:
        raise ConfigError(
            f"unknown source '{name}'",
            hint=f"sources: {', '.join(SOURCES)}; `ondevice-rec import --list` describes them",
        )
    module, _, function = SOURCES[name].reader.partition(":")
    return cast(Reader, getattr(import_module(module), function))
