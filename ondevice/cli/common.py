"""What every command shares: `--home`, `--json`, `--plain`, and how a document is printed."""

import functools
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ondevice.cli.lock import lock_for
from ondevice.paths import default_home

if TYPE_CHECKING:
    from ondevice.service.session import Session

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where the person's things are and how they want to read the answer."""

    home: Path
    as_json: bool
    plain: bool

    def session(self) -> AbstractContextManager["Session"]:
        """Open the world of this home; close it when the `with` block ends."""
        from ondevice.service.session import Session

        return Session.open(self.home)

    def document(self, body: Mapping[str, Any]) -> None:
        """Print one JSON document with its schema number."""
        click.echo(json.dumps({"schema": SCHEMA, **body}, ensure_ascii=False, indent=2))

    def note(self, text: str) -> None:
        """Say something to the person that is not data."""
        click.echo(f"note: {text}", err=True)


def common(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` the options that all commands take, as one `Output` argument."""

    @click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder with your data (default: ONDEVICE_HOME, else the platform's).",
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
    @click.option("--plain", is_flag=True, help="No colour, no drawing: good for screen readers.")
    @functools.wraps(command)
    def wrapper(*args: Any, home: Path | None, as_json: bool, plain: bool, **kwargs: Any) -> None:
        where = home.expanduser() if home else default_home()
        lock_for(where, kwargs)
        command(*args, out=Output(home=where, as_json=as_json, plain=plain), **kwargs)

    return wrapper


def typed(words: str, given: str | None) -> str:
    """Return what a person types to confirm; a script gives it as an option or on stdin."""
    if given is not None:
        return given
    click.echo(f"to go on, type: {words}", err=True)
    return sys.stdin.readline().strip()


def table(rows: list[tuple[str, ...]], *, indent: str = "") -> None:
    """Print `rows` in aligned columns; the last column is not padded."""
    if not rows:
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo(indent + "  ".join([*cells, row[-1]]).rstrip())


BAR_WIDTH = 20


def bar(share: float, largest: float) -> str:
    """Draw `share` beside `largest` (absolute) as a signed bar that needs no colour."""
    length = 0 if largest <= 0 else round(BAR_WIDTH * abs(share) / largest)
    return ("+" if share >= 0 else "-") * length
