"""Comma-separated values with a header line; semicolons and tabs are recognised."""

import csv
from collections.abc import Iterator
from pathlib import Path

from ondevice.domain import Item
from ondevice.errors import ConfigError
from server_tools.sources import files, rows

_SEPARATORS = ",;\t"


def read(path: Path | str) -> Iterator[Item]:
    """Yield the items of `path`. The header names the fields, in any case and order.

    Raises:
        ConfigError: names file and line.
    """
    return rows.items(_rows(str(path)), source=str(path))


def _rows(path: str) -> Iterator[rows.Row]:
    texts = (text for _, text in files.lines(path))
    first = next(texts, "")
    separator = max(_SEPARATORS, key=first.count)
    names = [name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])]
    known = {alias for aliases in rows.ALIASES.values() for alias in aliases}
    if not known & set(names):
        raise ConfigError(
            f"{path}, line 1: the header names no field that we know",
            hint=f"name the columns; we read {', '.join(sorted(known))}",
        )
    twice = {name for name in names if name in known and names.count(name) > 1}
    if twice:
        raise ConfigError(f"{path}, line 1: two columns are called '{min(twice)}'")
    reader = csv.reader(texts, delimiter=separator, strict=True)
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise ConfigError(
                f"{path}, line {reader.line_num + 1}: {error}", hint="check the quotes"
            ) from error
        if values is None:
            return
        where = f"{path}, line {reader.line_num + 1}"
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(names):
            raise ConfigError(
                f"{where} has {len(values)} values, the header has {len(names)} names",
                hint=f"put texts that hold {separator!r} between double quotes",
            )
        yield where, dict(zip(names, (value.strip() for value in values), strict=True))
