"""Files that somebody else wrote, here or anywhere fsspec reaches: bounded, decoded, numbered."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, cast

from ondevice.errors import ConfigError, NotReadyError

LARGEST = 4 << 30  # bytes of text in one source
LONGEST = 1 << 20  # bytes in one line
_GZIP = b"\x1f\x8b"
_SNIFF = 8192  # bytes that must not hold a NUL


def open_binary(place: str) -> AbstractContextManager[BinaryIO]:
    """Open the file at a path, or at an address such as s3://BUCKET/KEY or https://….

    Raises:
        ConfigError: there is no such file, or no such kind of address.
        NotReadyError: a kind of address whose program is not installed here.
        OSError: it cannot be read.
    """
    if "://" not in place:
        path = Path(place)
        if not path.is_file():
            raise ConfigError(f"there is no file {path}", hint="check the path after --source")
        if path.stat().st_size > LARGEST:
            raise _too_large(place)
        return path.open("rb")
    try:
        import fsspec

        opened = fsspec.open(place, "rb")
    except ImportError as error:
        raise NotReadyError(
            f"cannot reach {place}: {error}",
            hint="pip install 'ondevice-rec[server]'; for other stores, what fsspec names",
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{place} is no address that we can read: {error}", hint="as in s3://BUCKET/KEY"
        ) from error
    return cast("AbstractContextManager[BinaryIO]", opened)


def lines(path: str) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line with its end) of `path`, which may be gzip-packed.

    Raises:
        ConfigError: missing, empty, too large, not text, not UTF-8, or a line without end.
    """
    try:
        with open_binary(path) as opened:
            raw = io.BufferedReader(cast("io.RawIOBase", opened))
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            file = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
            _refuse_binary(file, path)
            yield from _decoded(file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", hint="check the file, or pack it again"
        ) from error


def _refuse_binary(file: BinaryIO, path: str) -> None:
    head = file.read(_SNIFF)
    file.seek(0)
    if not head.strip():
        raise ConfigError(f"{path} is empty", hint="a source has one item a line")
    if b"\0" in head:
        raise ConfigError(
            f"{path} is not a text file", hint="save it as UTF-8 text; .gz may be packed once"
        )


def _decoded(file: BinaryIO, path: str) -> Iterator[tuple[int, str]]:
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
                hint=f"convert the file: iconv -f WINDOWS-1252 -t UTF-8 {path.rpartition('/')[2]}",
            ) from error
        yield number, text


def _too_large(path: str) -> ConfigError:
    return ConfigError(
        f"{path} has more than {LARGEST >> 30} GiB of text",
        hint="split it into several catalogues",
    )
