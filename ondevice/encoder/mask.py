"""Personal data in a cleaned text → neutral words the encoder understands. Pure.

Four classes are claimed: e-mail addresses, payment card numbers, IBANs and telephone numbers.
Names and postal addresses are not. The order matters: an IBAN holds what looks like a card, and a
card what looks like a telephone number. `mask(mask(t).text).text == mask(t).text`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ondevice.encoder import phones

EMAIL, CARD, IBAN, PHONE = "e-mail", "card", "iban", "phone"

# What may stand in an address: anything but white space and punctuation, in any script.
_ATOM = r"[^\s\x00-\x2c./:-@\[-`{-\x7f\u2010-\u2027\u3000-\u3003\uff08\uff09\uff0c\uff1a\uff1b]"
_LOCAL = r"(?:\"[^\"\s@]{1,64}\"|[^\s@<>()\[\]{},;:=\"\\\u2018-\u201f\u3000-\u3003]{1,64})"
_DOMAIN = rf"(?:(?:{_ATOM}{{1,63}}\.)+(?!\d){_ATOM}{{2,63}}|\[[0-9a-f.:]{{7,45}}\])"
_EMAIL = re.compile(rf"{_LOCAL}@{_DOMAIN}", re.IGNORECASE)
_AT = r"\s?[(\[{<]\s?(?:at|ät|arroba|chez|a|@)\s?[)\]}>]\s?"
_DOT = r"(?:\.|\s?[(\[{<]\s?(?:dot|punkt|punto|point|d|\.)\s?[)\]}>]\s?|\s(?:dot|punkt|punto)\s)"
_COMMON = r"(?:com|org|net|edu|gov|info|io|dev|eu|uk|de|fr|es|it|nl|ch|at|be|se|no|dk|fi|pl|pt)"
_SPELLED = re.compile(
    rf"[\w.+-]{{1,64}}{_AT}{_ATOM}{{1,63}}(?:{_DOT}{_ATOM}{{2,63}})+"
    rf"|[\w.+-]{{1,64}}@{_ATOM}{{1,63}}(?:\s?[(\[{{]?\s?(?:dot|punkt|punto)\s?[)\]}}]?\s?"
    rf"{_ATOM}{{2,63}})+"
    rf"|[\w.+-]{{1,64}}\s(?:at|ät|arroba)\s[\w-]{{2,63}}(?:\s(?:dot|punkt|punto)\s[\w-]{{2,63}})*"
    rf"\s(?:dot|punkt|punto)\s{_COMMON}\b",
    re.IGNORECASE,
)
_SPELLED_HINT = re.compile(r"\bat\b|\bät\b|arroba|chez|[(\[{<]\s?[a@]\s?[)\]}>]|@", re.IGNORECASE)

_IBAN = re.compile(r"(?<![^\W_])[A-Z]{2}\d{2}(?=[ .\-\u00a0]?[A-Z0-9]{2})", re.IGNORECASE)
_IBAN_CHARACTER = re.compile(r"[ .\-\u00a0]?([A-Za-z0-9])", re.ASCII)
_IBAN_LENGTHS = range(15, 35)

_DIGIT_RUN = re.compile(r"(?<![\d.,])\d(?:[ .\-\u00a0\u2010-\u2013]?\d){12,40}(?![,.]?\d)")
_GROUP = re.compile(r"\d+")
_MANY_DIGITS = re.compile(r"\d(?:[^\d\n]{0,4}\d){6}")  # the fewest that a telephone number has

# First digits → lengths, by network (ISO/IEC 7812 ranges that the networks publish).
_NETWORKS: tuple[tuple[re.Pattern[str], frozenset[int]], ...] = tuple(
    (re.compile(pattern), frozenset(lengths))
    for pattern, lengths in (
        (r"4", {13, 16, 19}),  # Visa
        (r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)", {16}),  # Mastercard
        (r"3[47]", {15}),  # American Express
        (r"3(?:0[0-5]|09|[689])", set(range(14, 20))),  # Diners Club
        (r"35(?:2[89]|[3-8])", set(range(16, 20))),  # JCB
        (r"6(?:011|4[4-9]|5)", set(range(16, 20))),  # Discover
        (r"62|81", set(range(16, 20))),  # UnionPay, RuPay
        (r"5[06-8]|6", set(range(13, 20))),  # Maestro, Elo, RuPay
        (r"220[0-4]", set(range(16, 20))),  # Mir
        (r"9792", {16}),  # Troy
    )
)


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without the personal data that we recognise; `found` counts it by class."""

    text: str
    found: Mapping[str, int]


def mask(text: str) -> Masked:
    """Replace personal data in `text` by `[e-mail]`, `[iban]`, `[card]` and `[phone]`.

    Never raises. A text without `@`, "at" and many digits costs two regular expressions.
    """
    found: dict[str, int] = {}
    while True:  # each round removes at least one digit or address, so it ends
        before = text
        if _SPELLED_HINT.search(text):
            text = _replace(text, EMAIL, _emails, found)
        if _MANY_DIGITS.search(text):
            text = _replace(text, IBAN, _ibans, found)
            text = _replace(text, CARD, _cards, found)
            text = _replace(text, PHONE, phones.spans, found)
        if text == before:
            return Masked(text, MappingProxyType(found))


def _replace(
    text: str, name: str, find: Callable[[str], Iterator[tuple[int, int]]], found: dict[str, int]
) -> str:
    pieces, end = [], 0
    for start, stop in find(text):
        pieces += [text[end:start], f"[{name}]"]
        end = stop
        found[name] = found.get(name, 0) + 1
    return "".join((*pieces, text[end:])) if pieces else text


def _emails(text: str) -> Iterator[tuple[int, int]]:
    end = 0
    spans = [m.span() for pattern in (_EMAIL, _SPELLED) for m in pattern.finditer(text)]
    for start, stop in sorted(spans):
        if start >= end:
            yield start, stop
            end = stop


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    end = 0
    for match in _IBAN.finditer(text):
        stop = _iban_end(text, match.start()) if match.start() >= end else None
        if stop is not None:
            yield match.start(), stop
            end = stop


def _iban_end(text: str, start: int) -> int | None:
    """Where the valid IBAN that starts at `start` ends; its country says how long it is."""
    from stdnum import iban  # not before a text has one's beginning: 60 ms

    compact, at = "", start
    while len(compact) < _IBAN_LENGTHS.stop:
        match = _IBAN_CHARACTER.match(text, at)
        if match is None:
            break
        compact, at = compact + match[1].upper(), match.end()
        whole = at == len(text) or not text[at].isalnum()
        if whole and len(compact) in _IBAN_LENGTHS and iban.is_valid(compact, check_country=False):
            return at
    return None


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for run in _DIGIT_RUN.finditer(text):
        groups = [(g.start(), g.end()) for g in _GROUP.finditer(text, run.start(), run.end())]
        first = 0
        while first < len(groups):
            for last in range(min(len(groups), first + 6), first, -1):
                if _is_card([text[a:b] for a, b in groups[first:last]]):
                    yield groups[first][0], groups[last - 1][1]
                    first = last - 1
                    break
            first += 1


def _is_card(groups: list[str]) -> bool:
    number = "".join(str(int(c)) for c in "".join(groups))
    if not 13 <= len(number) <= 19 or len(groups[0]) < 4 or min(map(len, groups)) < 2:
        return False
    known = any(p.match(number) and len(number) in lengths for p, lengths in _NETWORKS)
    return known and luhn(number) and not (len(number) == 13 and _is_ean(number))


def luhn(number: str) -> bool:
    """Whether the check digit of `number` (ASCII digits) is right (ISO/IEC 7812-1, annex B)."""
    from stdnum import luhn as checker

    return bool(checker.is_valid(number))


def _is_ean(number: str) -> bool:
    from stdnum import ean

    return bool(ean.is_valid(number))
