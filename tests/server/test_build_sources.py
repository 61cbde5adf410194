"""Sources: what a row may look like, and what a person is told about one that is wrong."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ondevice.domain import Item
from ondevice.errors import ConfigError, NotReadyError
from server_tools import sources
from server_tools.sources import apt, files


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(content: str | bytes, name: str = "s.jsonl") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


FULL = Item(
    id="7",
    title="Desk lamp",
    description="Warm light.\nTwo steps.",
    category="lamps",
    tags=("home", "light"),
    price=19.5,
    rating=4.5,
    popularity=120.0,
    date="2024-02-29",
    url="https://example.org/7",
)


def test_every_field_by_its_own_name(write: Callable[..., str]) -> None:
    row = {
        "id": 7,
        "title": "  Desk\tlamp ",
        "description": "Warm  light.\r\n\r\nTwo steps. ",
        "category": "lamps",
        "tags": ["home", "light", "home", ""],
        "price": 19.5,
        "rating": "4.5",
        "popularity": 120,
        "date": "2024-02-29T10:00:00Z",
        "url": "https://example.org/7",
        "vendor": "left out",
    }
    assert list(sources.read(write(lines(row)))) == [FULL]


def test_the_usual_other_names(write: Callable[..., str]) -> None:
    row = {
        "item_id": "7",
        "name": "Desk lamp",
        "text": "Warm light.",
        "categories": ["lamps", "home"],
        "tags": "light; desk",
        "year": 2024,
    }
    (item,) = sources.read(write(lines(row)))
    assert (item.id, item.title, item.description) == ("7", "Desk lamp", "Warm light.")
    assert (item.category, item.tags) == ("lamps", ("home", "light", "desk"))
    assert item.date == "2024"


def test_csv_gives_the_same_item(write: Callable[..., str]) -> None:
    text = (
        "\ufeffID,Name,Text,Category,Tags,Price,Rating,Popularity,Date,URL,Other\r\n"
        '7,Desk lamp,"Warm light.\nTwo steps.",lamps,home|light,19.50,4.5,120,2024-02-29,'
        "https://example.org/7,x\r\n\r\n"
    )
    assert list(sources.read(write(text, "s.csv"))) == [FULL]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_csv_with_other_separators(mark: str, write: Callable[..., str]) -> None:
    text = mark.join(["id", "title", "price"]) + "\n" + mark.join(["a", "A, b", "1.5"]) + "\n"
    (item,) = sources.read(write(text, "s.csv"))
    assert (item.title, item.price, item.tags) == ("A, b", 1.5, ())


def test_gzip_and_blank_lines_and_byte_order_mark(write: Callable[..., str]) -> None:
    text = "\ufeff" + lines({"id": "a", "title": "A"}) + "\n \n" + lines({"id": "b", "title": "B"})
    packed = write(gzip.compress(text.encode()), "s.jsonl.gz")
    assert [item.id for item in sources.read(packed)] == ["a", "b"]


def test_links_of_other_kinds_are_left_out_and_foreign_letters_quoted(
    write: Callable[..., str],
) -> None:
    text = lines(
        {"id": "a", "title": "A", "url": "ftp://example.org/a"},
        {"id": "b", "title": "B", "url": "https://example.org/ä b%20c"},
    )
    a, b = sources.read(write(text))
    assert a.url is None
    assert b.url == "https://example.org/%C3%A4%20b%20c"


BAD_ROWS = [
    ({"title": "A"}, "no id"),
    ({"id": "a"}, "no title"),
    ({"id": "a", "title": ""}, "no title"),
    ({"id": "a", "title": ["A"]}, "title must be a text"),
    ({"id": True, "title": "A"}, "id must be a text"),
    ({"id": "a", "title": "A\u0000B"}, r"U\+0000"),
    ({"id": "a", "title": "A\ud800"}, r"U\+D800"),
    ({"id": "a", "title": "A", "description": "\u001b[31mred"}, r"U\+001B"),
    ({"id": "a", "title": "A", "price": -1}, "price must be a number from 0"),
    ({"id": "a", "title": "A", "price": "12 EUR"}, "price must be"),
    ({"id": "a", "title": "A", "price": "nan"}, "price must be"),
    ({"id": "a", "title": "A", "price": [1]}, "price must be"),
    ({"id": "a", "title": "A", "price": True}, "price must be"),
    ({"id": "a", "title": "A", "rating": 9}, "from 0 to 5"),
    ({"id": "a", "title": "A", "popularity": 10**400}, "popularity must be"),
    ({"id": "a", "title": "A", "date": "2023-02-29"}, "not a date"),
    ({"id": "a", "title": "A", "date": "yesterday"}, "not a date"),
    ({"id": "a", "title": "A", "url": "example.org"}, "must start with https"),
    ({"id": "a", "title": "A", "tags": 5}, "tags must be a list"),
    ({"id": "a", "title": "A" * 2000}, "title"),
    ({"id": "a", "title": "A", "description": "d" * 20_000}, "description"),
    ({"id": "a", "title": "A", "description": "d" * 70_000}, "more than the 65536"),
    ({"id": "a", "title": "A", "tags": [str(i) for i in range(500)]}, "tags"),
]


@pytest.mark.parametrize(("row", "says"), BAD_ROWS, ids=[says for _, says in BAD_ROWS])
def test_a_bad_row_is_named_with_its_line(
    row: dict[str, Any], says: str, write: Callable[..., str]
) -> None:
    source = write(lines({"id": "first", "title": "First"}) + "\n" + lines(row))
    with pytest.raises(ConfigError, match=says) as caught:
        list(sources.read(source))
    assert "s.jsonl, line 3" in str(caught.value)
    assert caught.value.exit_code == 2


BAD_FILES: list[tuple[str, bytes, str]] = [
    ("s.jsonl", b"", "is empty"),
    ("s.jsonl", b"\n \n", "is empty"),
    ("s.csv", b"id,title\n", "has no items"),
    ("s.jsonl", b"{", "line 1 is not JSON"),
    ("s.jsonl", b"[1]\n", "line 1 is not an object"),
    ("s.jsonl", b"[" * 500_000, "line 1 is not JSON"),
    ("s.jsonl", b"\x7fELF\x00\x01\x02", "not a text file"),
    ("s.jsonl", '{"id": "a", "title": "A"}'.encode("utf-16"), "not a text file"),
    ("s.jsonl", b'{"id": "a", "title": "caf\xe9"}\n', "line 1: byte 26 is not UTF-8"),
    ("s.csv", b"id,title\na,caf\xe9\n", "line 2: byte 6 is not UTF-8"),
    ("s.jsonl", b'{"id": "a", "title": "' + b"x" * (2 << 20), "line 1: the line has more"),
    ("s.csv", b"a,b\n1,2\n", "names no field"),
    ("s.csv", b"id,title,Title\na,b,c\n", "two columns are called 'title'"),
    ("s.csv", b"id,title\na,b,c\n", "line 2 has 3 values, the header has 2"),
    ("s.csv", b'id,title\na,"b\n', "check|unexpected end"),
    ("s.jsonl.gz", gzip.compress(b'{"id":"a","title":"A"}\n')[:-6], "cannot read"),
    ("s.jsonl.gz", b"\x1f\x8b" + b"\0" * 30, "cannot read|not a text"),
    ("s.jsonl.gz", gzip.compress(gzip.compress(b"{}")), "not a text file"),
]


@pytest.mark.parametrize(("name", "content", "says"), BAD_FILES, ids=[b[2] for b in BAD_FILES])
def test_a_bad_file(name: str, content: bytes, says: str, write: Callable[..., str]) -> None:
    with pytest.raises(ConfigError, match=says):
        list(sources.read(write(content, name)))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with path.open("wb") as file:
        file.truncate(files.LARGEST + 1)  # sparse: takes no room
    with pytest.raises(ConfigError, match="more than 4 GiB"):
        list(sources.read(str(path)))


def test_an_archive_that_grows_without_end(
    write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LARGEST", 100_000)
    row = lines({"id": "a", "title": "A", "description": "x" * 1000})
    packed = write(gzip.compress((row * 200).encode()), "s.jsonl.gz")
    with pytest.raises(ConfigError, match="of text"):
        list(files.lines(str(packed)))


def test_the_same_id_twice(write: Callable[..., str]) -> None:
    text = lines({"id": "a", "title": "A"}, {"id": "b", "title": "B"}, {"id": "a", "title": "C"})
    with pytest.raises(ConfigError, match="line 3: the id 'a' was used in line 1"):
        list(sources.read(write(text)))


def test_missing_files_and_unknown_kinds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        list(sources.read(str(tmp_path / "none.jsonl")))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match="there is no file"):
        list(sources.read(str(tmp_path / "folder.csv")))
    with pytest.raises(ConfigError, match="cannot tell what kind"):
        sources.read(str(tmp_path / "s.xlsx"))


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="needs a Debian machine")
def test_the_packages_of_this_machine() -> None:
    found = {item.id: item for item in sources.read("apt:")}
    shell = found["deb:bash"]

    assert len(found) > 20
    assert shell.title.startswith("bash: GNU")
    assert shell.category == "shells"
    assert len(shell.description) > 100
    assert "\n " not in shell.description
    assert [item.id for item in sources.read("apt:bash")] == ["deb:bash"]
    with pytest.raises(ConfigError, match="no packages found"):
        list(sources.read("apt:no-such-package-*"))


def test_apt_reads_what_dpkg_prints() -> None:
    unit, record = "\x1f", "\x1e"
    output = record.join(
        unit.join(fields)
        for fields in (
            ("ii ", "vim", "universe/editors", "ftp://vim.org", "role::program, use::editing",
             "Vi IMproved\n Almost compatible\n with Vi.\n .\n Second paragraph."),
            ("rc ", "gone", "misc", "", "", "removed"),
            ("ii ", "vim", "editors", "", "", "the other architecture"),
            ("ii ", "bare", "misc", "", "", ""),
        )
    )  # fmt: skip
    vim, bare = (row for _, row in apt._rows(output + record))
    assert vim["title"] == "vim: Vi IMproved"
    assert vim["description"] == "Almost compatible with Vi.\nSecond paragraph."
    assert (vim["category"], vim["tags"]) == ("editors", ["program", "editing"])
    assert vim["url"] is None
    assert bare["title"] == "bare"


def test_without_dpkg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotReadyError, match="needs dpkg-query") as caught:
        list(sources.read("apt:"))
    assert caught.value.exit_code == 3
    assert "Debian" in caught.value.hint
