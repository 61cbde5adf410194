"""JSON lines: one object a line, plain or packed by gzip."""

import json
from collections.abc import Iterator
from pathlib import Path

from ondevice.domain import Item
from ondevice.errors import ConfigError
from server_tools.sources import files, rows


def read(path: Path | str) -> Iterator[Item]:
    """Yield the items of `path`; blank lines are passed over.

    Raises:
        ConfigError: names file and line.
    """
    return rows.items(_rows(str(path)), source=str(path))


def _rows(path: str) -> Iterator[rows.Row]:
    for number, line in files.lines(path):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                f"{where} is not JSON: {error}", hint="write one JSON object a line"
            ) from error
        if not isinstance(row, dict):
            raise ConfigError(
                f"{where} is not an object", hint='write {"id": …, "title": …} on each line'
            )
        yield where, row
