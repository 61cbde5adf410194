"""Which commands open private data, and which files outside the home each may touch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a command needs besides its home, which every locked one may read and write."""

    locked: bool = True
    read: tuple[str, ...] = ()  # its arguments that name something to read
    write: tuple[str, ...] = ()  # … something to write
    fill: tuple[str, ...] = ()  # … a folder to put files into
    make: bool = True  # it may make the home
    broker: bool = False  # it fetches
    scratch: bool = False  # it has temporary files
    sinks: bool = False  # it proves the lock, and needs what a locked process could not make


# Commands that are not here: locked, the home alone.
NEEDS: Mapping[str, Need] = MappingProxyType(
    {
        "config path": Need(locked=False),
        "config show": Need(locked=False),
        "completion": Need(locked=False),
        "import": Need(read=("path",)),
        "catalogue add": Need(read=("where", "root"), broker=True),
        "catalogue update": Need(broker=True),
        "doctor": Need(make=False),
        "export": Need(fill=("folder",)),
        "audit": Need(write=("output",), make=False, scratch=True, sinks=True),
        "demo": Need(scratch=True),
    }
)


@dataclass(frozen=True, slots=True)
class Wish:
    """Whether the command that runs shall lock its process: put into click's `obj`."""

    wanted: bool


def lock_for(home: Path | None, given: Mapping[str, Any]) -> None:
    """Lock this process for the running command, if its caller wanted that.

    A program that calls `cli.main.run` for itself is not locked: only it can know what it does
    afterwards.
    """
    context = click.get_current_context()
    wish = context.find_root().obj
    need = NEEDS.get(context.command_path.partition(" ")[2], Need())
    if not (isinstance(wish, Wish) and wish.wanted and need.locked):
        return
    from ondevice.service.lock import enter

    keep: set[int] = set()
    if need.sinks:
        from ondevice.service.audit import prepare

        prepared = context.meta["ondevice.audit"] = prepare()
        keep = prepared.handles if prepared else keep
    enter(
        [] if home is None else [home],
        read=_paths(need.read, given),
        write=_paths(need.write, given),
        fill=_paths(need.fill, given),
        make=need.make,
        keep=sorted(keep),
        broker=need.broker,
        scratch=need.scratch,
    )


def _paths(names: tuple[str, ...], given: Mapping[str, Any]) -> list[Path]:
    values = (given.get(name) for name in names)
    return [Path(value).expanduser() for value in values if value is not None]
