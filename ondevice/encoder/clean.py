"""Raw text → text fit to be masked, stored and encoded. Pure.

A text may come from a web page, a clipboard or an export of another program: this module reduces
it to the words a person meant, and drops what only carries secrets (the user, query and fragment
of an address) or only confuses the reader (control and bidirectional-override characters).
"""

import html
import re
import unicodedata

from ondevice.errors import ConfigError

MAX_INPUT = 1 << 20  # bytes of UTF-8; more is refused: no behaviour is that long
MAX_CLEAN = 2_000  # characters kept; the encoder reads 128 tokens, about 600 characters
_READ = 1 << 15  # characters looked at: enough for MAX_CLEAN under any honest mark-up
_ROUNDS = 6  # nested escapes are undone this often; nothing honest is escaped more often

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_CODE = re.compile(r"<(script|style)(?:\s[^<>]*)?>.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][a-z0-9-]*(?:[\s/][^<>]*)?>|<![a-z][^<>]*>", re.IGNORECASE)
_DATA_URL = re.compile(r"\bdata:[\w/+.-]*(?:;[\w=-]+)*,[^\s<>\"]*", re.IGNORECASE)
_URL = re.compile(
    r"(?<![\w@.-])(?:"
    r"[a-z][a-z0-9+.-]{1,20}://[^\s<>\"]*"  # https://user:password@host/path?query#fragment
    r"|(?:[\w-]+\.)+[^\W\d_]{2,}(?::\d{1,5})?(?:/[^\s<>\"]*|[?#][^\s<>\"=]*=[^\s<>\"]*)"
    r")",
    re.IGNORECASE,
)
_PORT = re.compile(r":\d{0,5}$")
_NOT_WORD = re.compile(r"[\x00-\x2f:-@\[-`{-\x7f\s]+")
_PERCENT = re.compile(r"(?:%[0-9a-f]{2})+", re.IGNORECASE)
_PAGE = frozenset({"html", "htm", "php", "asp", "aspx", "jsp", "index"})
_SPECIAL = re.compile(r"[^ !-%'-.0-9;>-~]|  |^ | $")  # what `_once` could change
_REMOVED = re.compile(
    # controls that are not white space; soft hyphen; zero width space, word joiner, byte order
    # mark; bidirectional marks, embeddings, overrides and isolates; annotations; tag characters
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060"
    "\u2066-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_CONTROL = re.compile("[\x01-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
_BINARY_HINT = "give plain UTF-8 text: a title, a sentence, a search"


def clean(text: str) -> str:
    """Return the words of `text`: at most `MAX_CLEAN` characters, NFC, single spaces.

    HTML is reduced to its text; an address keeps its host and the words of its path, and loses
    user, password, query and fragment. `clean(clean(t)) == clean(t)`.

    Raises:
        ConfigError: over `MAX_INPUT` bytes, binary, or nothing is left.
    """
    _refuse_huge_or_binary(text)
    text = text[:_READ]
    if _SPECIAL.search(text) or len(text) > MAX_CLEAN:
        text = _to_fixpoint(text)
    if not text or not any(c.isalnum() or unicodedata.category(c) == "So" for c in text):
        raise ConfigError("the text is empty: no word is left of it", hint=_BINARY_HINT)
    if not text.isascii():
        strange = sum(unicodedata.category(c) in {"Co", "Cn"} or c == "\ufffd" for c in text)
        if strange * 4 > len(text):
            raise ConfigError("the text is binary or in a damaged encoding", hint=_BINARY_HINT)
    return text


def _refuse_huge_or_binary(text: str) -> None:
    size = len(text)
    if size > MAX_INPUT // 4:
        size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_INPUT:
        raise ConfigError(
            f"the text has {size:,} bytes, the limit is {MAX_INPUT:,}",
            hint="log one title or sentence at a time; `import` reads files of any size",
        )
    if "\0" in text:
        raise ConfigError("the text is binary: it has a NUL character", hint=_BINARY_HINT)
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ConfigError("the text is not valid Unicode", hint=_BINARY_HINT) from error
    head = text[:_READ]
    if len(_CONTROL.findall(head)) * 10 > len(head):
        raise ConfigError("the text is binary: mostly control characters", hint=_BINARY_HINT)


def _to_fixpoint(text: str) -> str:
    """Repeat `_once` until nothing changes, so that what one step uncovers another one sees."""
    for _ in range(_ROUNDS):
        before, text = text, _once(text)
        if text == before:
            return text
    text = re.sub(r"[&<>/?#@:%]+", " ", text)  # an onion of escapes: only its letters are kept
    for _ in range(_ROUNDS):
        before, text = text, _once(text)
        if text == before:
            break
    return text


def _once(text: str) -> str:
    if "/" in text or "=" in text or ":" in text:  # before entities: `?a=1&lt=2` is one address
        text = _URL.sub(_words_of_address, _DATA_URL.sub(" ", text))
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _TAG.sub(" ", _CODE.sub(" ", _COMMENT.sub(" ", text)))
    text = unicodedata.normalize("NFC", _REMOVED.sub("", text))
    text = " ".join(text.split())
    return _shorten(text) if len(text) > MAX_CLEAN else text


def _words_of_address(match: re.Match[str]) -> str:
    address = match.group()
    rest = address.partition("://")[2] or address
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    authority, _, path = rest.partition("/")
    host = _PORT.sub("", authority.rpartition("@")[2]).removeprefix("www.")
    words = [host] if ":" not in host else []  # else a password with a slash in it
    for segment in path.split("/"):
        decoded = unicodedata.normalize("NFC", _PERCENT.sub(_decoded, segment.partition(";")[0]))
        if "@" not in decoded:
            words += [word for word in _NOT_WORD.split(decoded) if _is_word(word)]
    return " ".join(word for word in words if word)


def _decoded(match: re.Match[str]) -> str:
    return bytes.fromhex(match.group().replace("%", "")).decode("utf-8", "replace")


def _is_word(token: str) -> bool:
    """Whether a part of a path is a word, and not an identifier that may be a secret."""
    if not token or token.lower() in _PAGE:
        return False
    digits = sum(c.isdigit() for c in token)
    return len(token) <= 32 and (digits == 0 or (digits <= 6 and len(token) <= 12))


def _shorten(text: str) -> str:
    """Cut at a space, and never inside a number or an address, whose first half would stay."""
    head, _, tail = text[:MAX_CLEAN].rpartition(" ")
    if len(tail) > 200:
        head = text[:MAX_CLEAN]
    floor = len(head) - 80
    while len(head) > floor:
        rest, _, last = head.rpartition(" ")
        if not rest or not any(c.isdigit() or c == "@" for c in last):
            break
        head = rest
    return head.strip()
