"""Parquet: one row an item, read one batch of rows at a time."""

from collections.abc import Iterator

from ondevice.domain import Item
from ondevice.errors import ConfigError, NotReadyError
from server_tools.sources import files, rows

_BATCH = 1024  # rows in memory at once


def read(path: str) -> Iterator[Item]:
    """Yield the items of `path`. Columns are fields, in any case; others are passed over.

    Raises:
        ConfigError: names file and row.
        NotReadyError: pyarrow is not installed.
    """
    return rows.items(_rows(path), source=path)


def _rows(path: str) -> Iterator[rows.Row]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise NotReadyError(
            "reading Parquet needs pyarrow", hint="pip install 'ondevice-rec[server]'"
        ) from error
    known = {alias for aliases in rows.ALIASES.values() for alias in aliases}
    try:
        with files.open_binary(path) as file:
            table = parquet.ParquetFile(file)
            columns = {name: name.lower() for name in table.schema_arrow.names}
            wanted = [name for name, short in columns.items() if short in known]
            if not wanted:
                raise ConfigError(
                    f"{path} has no column that we know",
                    hint=f"name the columns; we read {', '.join(sorted(known))}",
                )
            number = 0
            for batch in table.iter_batches(batch_size=_BATCH, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", {columns[k]: v for k, v in row.items()}
    except (arrow.ArrowException, OSError) as error:
        raise ConfigError(f"cannot read {path}: {error}", hint="is it a Parquet file?") from error
