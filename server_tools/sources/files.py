"""Lines of a text file that somebody else wrote: bounded, decoded, numbered."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from ondevice.errors import ConfigError

LARGEST = 4 << 30  # bytes of text in one source
LONGEST = 1 << 20  # bytes in one line
_GZIP = b"\x1f\x8b"
_SNIFF = 8192  # bytes that must not hold a NUL


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line with its end) of `path`, which may be gzip-packed.

    Raises:
        ConfigError: missing, empty, too large, not text, not UTF-8, or a line without end.
    """
    try:
        if not path.is_file():
            raise ConfigError(f"there is no file {path}", hint="check the path after --source")
        if path.stat().st_size > LARGEST:
            raise _too_large(path)
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            file = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
            _refuse_binary(file, path)
            yield from _decoded(file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", hint="check the file, or pack it again"
        ) from error


def _refuse_binary(file: BinaryIO, path: Path) -> None:
    head = file.read(_SNIFF)
    file.seek(0)
    if not head.strip():
        raise ConfigError(f"{path} is empty", hint="a source has one item a line")
    if b"\0" in head:
        raise ConfigError(
            f"{path} is not a text file", hint="save it as UTF-8 text; .gz may be packed once"
        )


def _decoded(file: BinaryIO, path: Path) -> Iterator[tuple[int, str]]:
    number = size = 0
    while raw := file.readline(LONGEST + 1):
        number += 1
        size += len(raw)
        if len(raw) > LONGEST:
            raise ConfigError(
                f"{path}, line {number}: the line has more than {LONGEST:,} bytes",
                hint="write one item a line, and shorten its description",
            )
        if size > LARGEST:
            raise _too_large(path)
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{path}, line {number}: byte {error.start + 1} is not UTF-8",
                hint=f"convert the file: iconv -f WINDOWS-1252 -t UTF-8 {path.name}",
            ) from error
        yield number, text


def _too_large(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} has more than {LARGEST >> 30} GiB of text",
        hint="split it into several catalogues",
    )
