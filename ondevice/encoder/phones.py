"""Telephone numbers in a text: where they are, judged by `phonenumbers` and what stands around.

A text about films, prices and devices is full of digits that are no telephone number. So a run of
digits counts only if it is written like one: with a country code, or after a word such as "call",
or in a country's own form including its trunk prefix or its usual grouping. Words such as "order"
or "ISBN" before it, and the form of a date, a version or a price, speak against it.
"""

import re
from collections.abc import Iterator
from typing import Final

# Countries whose national form is recognised; the international form works for all of them.
REGIONS: Final = (
    *("US", "GB", "DE", "FR", "ES", "IT", "NL", "BE", "CH", "AT", "IE", "PT", "SE", "NO", "DK"),
    *("FI", "PL", "CZ", "SK", "HU", "RO", "GR", "BG", "HR", "UA", "RU", "TR", "IL", "AU", "NZ"),
    *("JP", "KR", "CN", "HK", "SG", "TW", "IN", "BR", "MX", "AR", "CL", "CO", "ZA", "NG", "KE"),
    *("EG", "AE", "SA", "TH", "MY", "ID", "PH", "VN"),
)
TRUNK: Final = {"US": "1", "RU": "8"}  # dialled first, and not printed in the national form
_SPACE = r"[ \u00a0\u202f\u2009]"
_CANDIDATE = re.compile(
    rf"(?<![\d#%&=])(?<!\d[.,:/\-])(?:[+\uff0b]{_SPACE}?)?(?:\({_SPACE}?)?\d"
    rf"(?:(?:{_SPACE}?[()\-./\u2010-\u2014]{_SPACE}?[()]?|{_SPACE}[()]?|[()]){{0,2}}\d){{6,17}}"
    rf"(?:{_SPACE}?(?:ext\.?|x|extension|durchwahl|poste){_SPACE}?\d{{1,5}})?"
    r"(?![\d%])(?![.,:/]\d)",
    re.IGNORECASE,
)
_GAP = re.compile(rf"{_SPACE}(?:[/\-\u2013]{_SPACE})?")
_SHORTEST = 9  # characters of a number found inside a longer run
_CALL = re.compile(
    r"(?:\b(?:tel|tele?phone|phone|call(?: me| us)?|mob|mobile|mobil|cell|fax|ring|dial|sms|text"
    r"|whatsapp|signal|handy|t[ée]l[ée]phone|t[ée]l|telefone?|tel[ée]fono|telefon|telefax|m[óo]vil"
    r"|portable|celular|cellulare|ruf|anruf|hotline|puhelin|телефон|тел)"
    r"|[☎☏✆📞📱🕿])(?:\s(?:no|nr|number|nummer|num|at|on|is|me|to|us|unter|au|al|auf))?"
    r"[\s.:°=#]*$",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"(?:\b(?:order|sku|isbn(?:-1[03])?|issn|ean|upc|asin|gtin|ref|reference|invoice|model|serial"
    r"|part|article|art|item|id|no|nr|number|code|version|ver|build|firmware|tracking|ticket|case"
    r"|bestellung|rechnung|artikel|commande|facture|pedido|factura|lot|batch|imei|mac|vin|cas"
    r"|doi|patent|population|route|room|catalogue|catalog)|[#№$€£¥₹])"
    r"(?:\s(?:no|nr|number|code|id|is))?[\s.:°=#]*$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"\s?(?:[$€£¥₹%]|(?:eur|usd|gbp|chf|kr|z[łl]|euros?|dollars?|pounds?|million|people|views"
    r"|steps|km|kg|mm|cm|mah|lm|lumens?|k|w|v|hz|bytes?|px|pieces|years)\b)",
    re.IGNORECASE,
)
_NOT_A_PHONE = re.compile(
    r"(?:1\d|20)\d\d[-./ ](?:0?\d|1[0-2])[-./ ][0-3]?\d(?:\D.*)?"  # 2024-05-01 …
    r"|[0-3]?\d[-./ ][0-3]?\d[-./ ](?:1\d|20)\d\d(?:\D.*)?"  # 01.05.2024 …
    r"|(?:(?:1\d|20)\d\d\D{1,3})+(?:(?:1\d|20)\d\d|\d\d)"  # 1914-1918, 2001 2010
    r"|\d{1,2}(?:\.\d{1,5}){2,3}|\d{1,3}(?:\.\d{1,3}){3}"  # 10.0.19045.3803, 192.168.100.200
    r"|\d{1,3}(?:[. ]000)+"  # 1 000 000
    r"|(?:\d+/){2,}\d+|\d{3}/\d{3}|\d{4}[-\u2013]\d{4}"  # 800/806/810, 2200-4000
    r"|(?:19|20)\d{6}(?:[-. ]?\d{4,6})?"  # 20240501, 20240501-101500
    r"|97[89][- ]?\d[-\d ]{8,14}"  # an ISBN-13
    r"|(?:\d{1,2}[-/. ]+)+\d{1,2}",  # 4-8-15-16-23-42
)
_PAIRS = re.compile(
    r"\(?0\d\)?(?:[ .\-/]\d\d){4}|\d\d(?:[ .]\d\d){3}"
)  # 01 99 00 12 34, 22 12 34 56


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of each telephone number in `text`, in order, without overlap."""
    for match in _CANDIDATE.finditer(text):
        end = match.start()
        for start, stop in _windows(text, *match.span()):
            if start >= end and _is_phone(
                text[start:stop], text[max(0, start - 28) : start], text[stop : stop + 12]
            ):
                yield start, stop
                end = stop


def _windows(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The whole run; then parts of it that begin as a number does, the longest first."""
    if text[start] == "(" and ")" not in text[start:stop]:
        start += 1
    yield start, stop
    starts = [m.end() for m in _GAP.finditer(text, start, stop)]
    stops = [m.start() for m in _GAP.finditer(text, start, stop)]
    for first in (start, *starts):
        if text[first] in "+(0":
            for last in (stop, *reversed(stops)):
                if (first, last) != (start, stop) and last - first >= _SHORTEST:
                    yield first, last


def _is_phone(number: str, before: str, after: str) -> bool:
    if before[-1:].isalpha() or after[:1].isalpha():
        return False  # part of a model's name
    called = _CALL.search(before) is not None
    if number[0] in "+\uff0b":
        return _international(number)
    if not called and (_OTHER.search(before) or _AFTER.match(after)):
        return False
    if _NOT_A_PHONE.fullmatch(number) and not (called or _PAIRS.fullmatch(number)):
        return False
    digits = "".join(c for c in number if c.isdigit())
    for prefix in ("00", "011"):
        if digits.startswith(prefix) and _international("+" + digits[len(prefix) :]):
            return called or len(digits) >= 11
    if called:
        return 7 <= len(digits) <= 13
    return _national(number, digits)


def _national(number: str, digits: str) -> bool:
    """Whether a number without any word before it has the form of a country's own numbers."""
    if digits == number and (digits[0] != "0" or _is_isbn(digits)):
        return False  # a bare row of digits may be anything, unless it has a trunk prefix
    if digits[0] == "0" or number[0] == "(":
        return 9 <= len(digits) <= 12 and any(_valid(digits, region) for region in REGIONS)
    return len(digits) >= 8 and any(_usual_grouping(number, region) for region in REGIONS)


def _is_isbn(digits: str) -> bool:
    from stdnum import isbn

    return len(digits) in {10, 13} and bool(isbn.is_valid(digits))


def _international(number: str) -> bool:
    """With a country code: valid, or at least of a possible length (reserved ranges)."""
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number(parsed)


def _valid(digits: str, region: str) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region))
    except phonenumbers.NumberParseException:
        return False


def _usual_grouping(number: str, region: str) -> bool:
    """Whether `number` is valid in `region` and its digits stand in the groups usual there."""
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return False
    if not phonenumbers.is_valid_number(parsed):
        return False
    national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    usual, groups = re.findall(r"\d+", national), re.findall(r"\d+", number)
    return usual == groups or [TRUNK.get(region), *usual] == groups
