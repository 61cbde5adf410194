"""Families of sentences that differ in little: what fine differences of meaning are learnt from.

Two random texts have next to nothing in common, so a batch of them teaches only coarse
differences. A family is one sentence and changed forms of it; the teacher says how far each change
moves the meaning. All words come from the corpora, but for a short list of subjects below.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from server_tools.recipe import NearRecipe

_SUBJECTS = (
    "man",
    "woman",
    "boy",
    "girl",
    "child",
    "baby",
    "person",
    "dog",
    "cat",
    "horse",
    "bird",
    "monkey",
    "lady",
    "guy",
    "kid",
    "player",
    "dancer",
    "teacher",
    "student",
    "worker",
    "driver",
    "farmer",
    "soldier",
    "singer",
    "cook",
    "rider",
    "swimmer",
    "artist",
    "doctor",
    "crowd",
    "couple",
    "family",
    "team",
    "band",
    "puppy",
    "kitten",
    "elephant",
)
_GROUPS = ("A group of people", "Two men", "Two dogs", "Several children", "Some women", "People")
_ARTICLES = frozenset(["a", "an", "the", "this", "that", "some", "his", "her", "its", "their"])
_SMALL = _ARTICLES | frozenset(
    [
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "with",
        "from",
        "and",
        "or",
        "but",
        "not",
        "no",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "has",
        "have",
        "had",
        "do",
        "does",
        "did",
        "it",
        "he",
        "she",
        "they",
        "we",
        "you",
        "i",
        "as",
        "if",
        "so",
        "than",
        "then",
        "there",
        "who",
        "which",
        "what",
        "when",
        "where",
        "how",
        "between",
        "into",
        "about",
        "used",
        "made",
        "will",
        "would",
        "can",
        "could",
        "may",
        "should",
        "during",
        "through",
        "over",
        "under",
        "after",
        "before",
        "written",
        "based",
    ]
)
_BE = {"is": "is not", "are": "are not", "was": "was not", "were": "were not", "can": "cannot"}
_TENSE = {"is": "was", "are": "were", "was": "is", "were": "are", "has": "had", "have": "had"}
_COUNT = {"a": "the", "an": "the", "the": "a", "two": "three", "three": "four", "some": "many"}
_ACTION = re.compile(r"\b([a-z]{3,}ing) (a|an|the|his|her|some) ([a-z]{3,})\b")
_PLACE = re.compile(
    r"\b((?:in|on|at|near|through|with|into|over|under|behind|for) (?:a|an|the) [a-z]{3,})\b"
)
_KIND = re.compile(r"\b(?:a|an|the) ([a-z]{3,}) ([a-z]{3,})\b")
_WORD = re.compile(r"[a-z]{3,}")
Found = TypeVar("Found")
_EDGES = ".,;:!?()\"'"
_RARE = 3  # seen less often, a word or phrase is likely a slip
_POOL = 6_000  # most common phrases of each kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """Words and phrases of the corpora, by the place they take in a sentence."""

    actions: tuple[tuple[str, str, str], ...]  # verb in -ing, article, noun
    places: tuple[str, ...]  # preposition, article, noun
    kinds: tuple[str, ...]  # words seen between an article and a noun
    nouns: tuple[str, ...]
    mates: Mapping[str, tuple[str, ...]]  # head word → head words explained by the same words


def lexicon(lines: Sequence[str]) -> Lexicon:
    """Collect words from `lines`; `head: meaning` lines tell which words mean the same."""
    actions: Counter[tuple[str, str, str]] = Counter()
    places: Counter[str] = Counter()
    before: Counter[str] = Counter()
    nouns: Counter[str] = Counter()
    heads: dict[str, list[str]] = {}
    for line in lines:
        actions.update(_ACTION.findall(line))
        places.update(_PLACE.findall(line))
        for kind, noun in _KIND.findall(line):
            if kind not in _SMALL and noun not in _SMALL:
                before[kind] += 1
                nouns[noun] += 1
        head, colon, meaning = line.partition(": ")
        if colon and len(head.split()) <= 2:
            heads.setdefault(meaning, []).append(head)
    mates: dict[str, list[str]] = {}
    for same in heads.values():
        for head in same:
            mates.setdefault(head, []).extend(other for other in same if other != head)
    return Lexicon(
        actions=tuple(act for act, _ in actions.most_common(4 * _POOL) if act[2] not in _SMALL),
        places=_common(places),
        kinds=_common(before),
        nouns=_common(nouns),
        mates={head: tuple(others) for head, others in mates.items() if others},
    )


def _common(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(each for each, times in counts.most_common(_POOL) if times >= _RARE)


def families(
    lines: Sequence[str], words: Lexicon, recipe: NearRecipe, *, seed: int
) -> list[list[str]]:
    """Draw `recipe.families` families of up to `recipe.size` distinct sentences each.

    Args:
        lines: sentences to begin with; longer ones than `recipe.max_words` are passed over.
        words: where replacements come from.
        recipe: how many, and which part begins with a sentence made up from `words`.
        seed: the same seed gives the same families.
    """
    rng = random.Random(seed)
    short = [line for line in lines if 3 <= len(line.split()) <= recipe.max_words]
    made = []
    for _ in range(recipe.families):
        if short and (rng.random() >= recipe.invented or not words.actions):
            first = rng.choice(short).partition(": ")
            base = first[2] if first[1] and rng.random() < 0.5 else "".join(first)
        else:
            base = invent(words, rng)
        family = [base]
        for _ in range(3 * recipe.size):
            if len(family) == recipe.size:
                break
            text = base if rng.random() < 0.6 else rng.choice(family)
            for _ in range(rng.choice((1, 1, 1, 2))):
                text = change(text, short or [base], words, rng)
            if text not in family and len(text) > 2:
                family.append(text)
        made.append(family)
    return made


def invent(words: Lexicon, rng: random.Random) -> str:
    """A plain sentence: somebody, what they do, sometimes where."""
    if rng.random() < 0.25:
        subject, verb = rng.choice(_GROUPS), "are"
    else:
        noun = (
            rng.choice(_SUBJECTS) if rng.random() < 0.75 else _often(words.nouns or _SUBJECTS, rng)
        )
        kind = f"{_often(words.kinds, rng)} " if words.kinds and rng.random() < 0.3 else ""
        article = rng.choice(("A", "A", "The"))
        if article == "A" and (kind or noun)[0] in "aeiou":
            article = "An"
        subject, verb = f"{article} {kind}{noun}", "is"
    action, article, thing = _often(words.actions, rng)
    kind = f"{_often(words.kinds, rng)} " if words.kinds and rng.random() < 0.15 else ""
    parts = [subject, verb, action]
    if rng.random() < 0.85:
        parts.append(f"{article} {kind}{thing}")
    if words.places and rng.random() < 0.4:
        parts.append(_often(words.places, rng))
    return " ".join(parts) + rng.choice((".", ""))


def change(text: str, others: Sequence[str], words: Lexicon, rng: random.Random) -> str:
    """One small change of `text`; the text itself when the drawn change does not fit it."""
    parts = text.split()
    if len(parts) < 2:
        return text
    draw = rng.choices(tuple(_CHANGES), weights=tuple(_CHANGES.values()))[0]
    return draw(parts, others, words, rng)


def _replace(p: list[str], _: Sequence[str], words: Lexicon, rng: random.Random) -> str:
    """A content word gives way to one that stands in such places, or means the same."""
    rows = [row for row, each in enumerate(p) if _plain(each) not in _SMALL and _plain(each)]
    if not rows:
        return " ".join(p)
    row = rng.choice(rows)
    old = _plain(p[row])
    if old in words.mates and rng.random() < 0.7:
        new = rng.choice(words.mates[old])
    elif old.endswith("ing") and words.actions:
        new = _often(words.actions, rng)[0]
    elif old in _SUBJECTS:
        new = rng.choice(_SUBJECTS)
    elif row and _plain(p[row - 1]) in _ARTICLES and row + 1 < len(p) and rng.random() < 0.4:
        new = _often(words.kinds or _SUBJECTS, rng)
    else:
        new = _often(words.nouns or _SUBJECTS, rng)
    return " ".join([*p[:row], _like(new, p[row]), *p[row + 1 :]])


def _drop(p: list[str], _: Sequence[str], __: Lexicon, rng: random.Random) -> str:
    """One to four neighbouring words are left out."""
    span = min(len(p) - 1, rng.choice((1, 1, 2, 3, 4)))
    start = rng.randrange(len(p) - span + 1)
    return " ".join(p[:start] + p[start + span :])


def _negate(p: list[str], _: Sequence[str], __: Lexicon, rng: random.Random) -> str:
    """`is` becomes `is not`; without a verb to deny, an article becomes `no`."""
    for row, each in enumerate(p):
        if each in _BE:
            return " ".join([*p[:row], _BE[each], *p[row + 1 :]])
    if p[0] in {"A", "An", "The"}:
        return " ".join(["No", *p[1:]])
    rows = [row for row, each in enumerate(p) if each in _ARTICLES]
    row = rng.choice(rows) if rows else 0
    return " ".join([*p[:row], "no" if rows else f"not {p[0]}", *p[row + 1 :]])


def _small(p: list[str], _: Sequence[str], __: Lexicon, ___: random.Random) -> str:
    """Another tense or another number."""
    for table in (_TENSE, _COUNT):
        for row, each in enumerate(p):
            if each in table:
                return " ".join([*p[:row], table[each], *p[row + 1 :]])
    return " ".join(p)


def _swap(p: list[str], _: Sequence[str], __: Lexicon, rng: random.Random) -> str:
    """Two content words change places, or the two halves of the text do."""
    if rng.random() < 0.4:
        cut = rng.randrange(1, len(p))
        return " ".join(p[cut:] + p[:cut])
    rows = [row for row, each in enumerate(p) if _plain(each) and _plain(each) not in _SMALL]
    if len(rows) < 2:
        return " ".join(p)
    one, two = rng.sample(rows, 2)
    p = list(p)
    p[one], p[two] = _like(_plain(p[two]), p[one]), _like(_plain(p[one]), p[two])
    return " ".join(p)


def _splice(p: list[str], others: Sequence[str], words: Lexicon, rng: random.Random) -> str:
    """The beginning of one text, the end of another."""
    other = invent(words, rng) if words.actions and rng.random() < 0.4 else rng.choice(others)
    tail = other.split()
    mine = p[: max(1, round(len(p) * rng.uniform(0.3, 0.8)))]
    return " ".join(mine + tail[round(len(tail) * rng.uniform(0.3, 0.8)) :])


def _place(p: list[str], _: Sequence[str], words: Lexicon, rng: random.Random) -> str:
    """A place is added at the end."""
    if not words.places:
        return " ".join(p)
    return " ".join([*p[:-1], p[-1].rstrip(_EDGES), _often(words.places, rng)])


def _turn(p: list[str], _: Sequence[str], __: Lexicon, ___: random.Random) -> str:
    """`A man is riding a horse` becomes `a horse is being ridden`-like: the thing comes first."""
    for row, each in enumerate(p[:-1]):
        if each in {"is", "are"} and p[row + 1].endswith("ing") and row + 2 < len(p):
            rest = " ".join(p[row + 2 :]).rstrip(_EDGES)
            subject = " ".join([_like(p[0].lower(), "a"), *p[1:row]])
            return f"There {each} {subject} {p[row + 1]} {rest}"
    return " ".join(p)


_CHANGES = {
    _replace: 42,
    _drop: 16,
    _negate: 6,
    _small: 8,
    _swap: 8,
    _splice: 10,
    _place: 6,
    _turn: 4,
}  # fmt: skip - a table


def _plain(word: str) -> str:
    low = word.strip(_EDGES).lower()
    return low if _WORD.fullmatch(low) else ""


def _like(new: str, old: str) -> str:
    """`new` with the capital and the full stop that `old` had."""
    tail = old[len(old.rstrip(_EDGES)) :]
    return (new[:1].upper() + new[1:] if old[:1].isupper() else new) + tail


def _often(some: Sequence[Found], rng: random.Random) -> Found:
    """One of `some`, which are in order of frequency: common ones more often."""
    return some[int(len(some) * rng.random() ** 2)]
