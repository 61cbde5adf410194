"""Canonical JSON and strict fields: one spelling, one failure type."""

import json
import math
import re

import pytest

from ondevice.errors import FormatError
from ondevice.formats import canonical
from ondevice.formats.fields import Fields, check_text


def load(blob: bytes) -> dict[str, object]:
    return canonical.load(blob, what="the test", limit=1 << 20)


def test_keys_are_sorted_and_text_stays_utf8() -> None:
    assert canonical.dump({"b": 1, "a": "é😀", "c": [True, None, 0.1]}) == (
        '{"a":"é😀","b":1,"c":[true,null,0.1]}'.encode()
    )


def test_what_was_dumped_loads() -> None:
    value = {"a": [1, -2.5, {"b": "x\ny"}], "z": 1e300, "big": 10**30}
    assert load(canonical.dump(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "\ud800", {1, 2}])
def test_what_json_cannot_say_is_not_written(value: object) -> None:
    with pytest.raises(FormatError, match="canonical"):
        canonical.dump({"a": value})


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b" ",
        b"[]",
        b"1",
        b"null",
        b"{",
        b'{"a":1}x',
        b'{"a":1} ',
        b'{"a":1}\n',
        b'{ "a":1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":1.50}',
        b'{"a":1E5}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a":"' + b"\\" * 99 + b'"}',
    ],
    ids=lambda blob: ascii(blob[:30]),
)
def test_every_other_spelling_is_refused(blob: bytes) -> None:
    with pytest.raises(FormatError, match="the test"):
        load(blob)


def test_the_size_is_checked_before_anything_is_parsed() -> None:
    with pytest.raises(FormatError, match="more than the 10"):
        canonical.load(b"not json at all", what="the test", limit=10)


def test_views_are_read_like_bytes() -> None:
    blob = b'{"a":1}'
    assert canonical.load(bytearray(blob), what="x", limit=9) == {"a": 1}
    assert canonical.load(memoryview(blob), what="x", limit=9) == {"a": 1}


def fields(**table: object) -> Fields:
    return Fields(table, what="the test", required=tuple(table))


def test_fields_must_be_the_known_ones() -> None:
    with pytest.raises(FormatError, match="not an object"):
        Fields([], what="the test", required=())
    with pytest.raises(FormatError, match="'a' is missing"):
        Fields({}, what="the test", required=("a",))
    with pytest.raises(FormatError, match="unknown key 'b'") as caught:
        Fields({"a": 1, "b": 2}, what="the test", required=("a",))
    assert "upgrade" in caught.value.hint
    assert "b" not in Fields({"a": 1}, what="the test", required=("a",), optional=("b",))


@pytest.mark.parametrize("value", [None, 1, "", "x" * 6, "a\x1b[2J", "a\nb", "\x7f", "\u2028", []])
def test_a_text_is_short_and_cannot_move_the_cursor(value: object) -> None:
    with pytest.raises(FormatError, match="the test: a"):
        fields(a=value).text("a", high=5)


def test_lines_are_allowed_where_asked() -> None:
    assert check_text("a\n\tb", what="x", high=9, lines=True) == "a\n\tb"
    with pytest.raises(FormatError, match="control"):
        check_text("a\rb", what="x", high=9, lines=True)


def test_numbers_have_a_type_and_bounds() -> None:
    assert fields(a=3).number("a", low=0, high=3) == 3.0
    assert fields(a=0).integer("a", low=0, high=3) == 0
    wrong: tuple[object, ...] = (True, "1", None, -0.1, 3.1, 10**400)
    for value in wrong:
        with pytest.raises(FormatError, match="not a number"):
            fields(a=value).number("a", low=0, high=3)
    wrong = (False, "1", 1.0, -1, 4)
    for value in wrong:
        with pytest.raises(FormatError, match="not a whole number"):
            fields(a=value).integer("a", low=0, high=3)


def test_containers_are_bounded() -> None:
    assert fields(a=[1, 2]).array("a", high=2) == [1, 2]
    assert fields(a={"b": 1}).mapping("a", high=1) == {"b": 1}
    lists: tuple[object, ...] = ({}, None, [1, 2, 3])
    for value in lists:
        with pytest.raises(FormatError, match="not a list"):
            fields(a=value).array("a", high=2)
    objects: tuple[object, ...] = ([], None, {"a": 1, "b": 2})
    for value in objects:
        with pytest.raises(FormatError, match="not an object"):
            fields(a=value).mapping("a", high=1)


def test_constants_and_patterns_match_as_a_whole() -> None:
    fields(a="x/1").constant("a", "x/1")
    with pytest.raises(FormatError, match="is not 'x/1'"):
        fields(a="x/2").constant("a", "x/1")
    assert fields(a="ab").matching("a", re.compile("[a-z]+")) == "ab"
    for value in ("ab1", "ab\n", "", 7):
        with pytest.raises(FormatError, match="does not follow"):
            fields(a=value).matching("a", re.compile("[a-z]+"))


def test_the_package_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    probe = (
        "import sys, ondevice.formats, ondevice.formats.canonical, ondevice.formats.invite, "
        "ondevice.formats.manifest; print(sorted({'numpy', 'cryptography'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []
