"""Where catalogues come from: one module for each source, all giving checked `Item`s."""

from collections.abc import Iterator

from ondevice.domain import Item
from ondevice.errors import ConfigError


class Source:
    """The items of a source, read again each time they are iterated."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Item]:
        return read(self._source)


def read(source: str) -> Iterator[Item]:
    """Yield the items of `source` in its order, each checked and with an id of its own.

    Args:
        source: the path or address of a .jsonl, .jsonl.gz, .csv or .parquet file, `apt:` for the
            installed Debian packages, or `apt:PATTERN` for some of them.

    Raises:
        ConfigError: an unknown kind of source, or content that we refuse; names file and line.
        NotReadyError: the source needs a program that is not here.
    """
    if source.startswith("apt:"):
        from server_tools.sources import apt

        return apt.read(source.removeprefix("apt:"))
    name = source.lower()
    if name.endswith((".jsonl", ".jsonl.gz", ".ndjson")):
        from server_tools.sources import jsonl

        return jsonl.read(source)
    if name.endswith(".csv"):
        from server_tools.sources import csv

        return csv.read(source)
    if name.endswith(".parquet"):
        from server_tools.sources import parquet

        return parquet.read(source)
    raise ConfigError(
        f"cannot tell what kind of source '{source}' is",
        hint="give a .jsonl, .jsonl.gz, .csv or .parquet file, or apt: for this machine's packages",
    )
