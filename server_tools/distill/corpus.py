"""Texts to learn from: read, de-duplicated, mixed by share, some made longer or shorter.

Pure but for reading files; the same seed and files give the same texts in the same order.
"""

import gzip
import html
import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ondevice.errors import ConfigError
from server_tools.distill import near
from server_tools.recipe import TextsRecipe, file_digest

SUFFIX = ".txt.gz"
_SPACE = re.compile(r"\s+")
_TITLE_WORDS = 8  # a line of at most so many words can be a title
_MIN_LETTERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One file's distinct lines, in the file's order."""

    name: str
    lines: tuple[str, ...]
    digest: str


def tidy(line: str, *, limit: int) -> str:
    """One line as text: NFC, entities resolved, single spaces, cut at a word before `limit`."""
    text = unicodedata.normalize("NFC", html.unescape(line))
    text = _SPACE.sub(" ", text).strip()
    if len(text) <= limit:
        return text
    return text[:limit].rsplit(" ", 1)[0]


def read(folder: Path, recipe: TextsRecipe) -> list[Corpus]:
    """Read the corpora the recipe names, dropping lines seen before in any of them.

    Raises:
        ConfigError: the folder or one of the files is missing.
    """
    seen: set[str] = set()
    corpora = []
    for name in sorted(recipe.shares):
        path = folder / f"{name}{SUFFIX}"
        if not path.is_file():
            raise ConfigError(
                f"the corpus '{name}' is missing: no {path.name} in {folder}",
                hint="name the folder of the corpora with --data DIR",
            )
        lines = []
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as stream:
            for raw in stream:
                line = tidy(raw, limit=recipe.max_characters)
                key = line.casefold()
                if key in seen or sum(map(str.isalpha, line)) < _MIN_LETTERS:
                    continue
                seen.add(key)
                lines.append(line)
        corpora.append(Corpus(name=name, lines=tuple(lines), digest=file_digest(path)))
    return corpora


def quotas(corpora: Sequence[Corpus], recipe: TextsRecipe) -> dict[str, int]:
    """How many texts each corpus gives: by share, what small ones lack given to the others."""
    left, quota = recipe.pool, dict.fromkeys((each.name for each in corpora), 0)
    open_ = {each.name: len(each.lines) for each in corpora if recipe.shares[each.name] > 0}
    while open_ and left > 0:
        total = sum(recipe.shares[name] for name in open_)
        grants = {
            name: min(room, int(left * recipe.shares[name] / total)) for name, room in open_.items()
        }
        if not any(grants.values()):
            break
        for name, grant in grants.items():
            quota[name] += grant
            open_[name] -= grant
            left -= grant
        open_ = {name: room for name, room in open_.items() if room > 0}
    return quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Distinct texts in the order they are learnt in, families together."""

    texts: tuple[str, ...]
    families: tuple[int, ...]  # texts of one number are close to each other
    domains: tuple[int, ...]  # texts of one number come from one corpus


def gather(corpora: Sequence[Corpus], recipe: TextsRecipe, *, seed: int) -> Pool:
    """Draw the pool: texts of the corpora with their neighbours, families of near sentences."""
    if recipe.neighbours <= 1 and not recipe.near.families:
        mixed = mix(corpora, recipe, seed=seed)
        return Pool(texts=tuple(mixed), families=tuple(range(len(mixed))), domains=())
    rng = random.Random(seed)
    quota = quotas(corpora, recipe)
    titles = _titles(corpora)
    groups: list[tuple[int, list[str]]] = []
    for domain, corpus in enumerate(corpora):
        size = max(1, recipe.neighbours)
        places = max(1, len(corpus.lines) // size)
        for place in rng.sample(range(places), min(places, quota[corpus.name] // size)):
            rows = range(place * size, min(len(corpus.lines), (place + 1) * size))
            group = [_make(corpus.lines, row, titles, recipe, rng) for row in rows]
            groups.append((domain, group))
    if recipe.near.families:
        lines = [
            line for each in corpora if each.name in recipe.near.corpora for line in each.lines
        ]
        made = near.families(lines, near.lexicon(lines), recipe.near, seed=seed)
        groups += [(len(corpora), family) for family in made]
    rng.shuffle(groups)
    seen: set[str] = set()
    rows_: list[tuple[str, int, int]] = []
    for family, (domain, group) in enumerate(groups):
        for text in (tidy(each, limit=recipe.max_characters) for each in group):
            if text and text not in seen:
                seen.add(text)
                rows_.append((text, family, domain))
    return Pool(
        texts=tuple(row[0] for row in rows_),
        families=tuple(row[1] for row in rows_),
        domains=tuple(row[2] for row in rows_),
    )


def _titles(corpora: Sequence[Corpus]) -> list[str]:
    return [
        line for each in corpora for line in each.lines if 1 < len(line.split()) <= _TITLE_WORDS
    ]


def mix(corpora: Sequence[Corpus], recipe: TextsRecipe, *, seed: int) -> list[str]:
    """Draw the pool of distinct texts, shuffled.

    Of each corpus's quota the parts `joined`, `composed` and `clipped` are made from its lines,
    the rest are lines as they stand.
    """
    rng = random.Random(seed)
    quota = quotas(corpora, recipe)
    titles = _titles(corpora)
    texts: dict[str, None] = {}
    for corpus in corpora:
        rows = rng.sample(range(len(corpus.lines)), quota[corpus.name])
        for row in rows:
            text = _make(corpus.lines, row, titles, recipe, rng)
            texts.setdefault(tidy(text, limit=recipe.max_characters))
    mixed = list(texts)
    rng.shuffle(mixed)
    return mixed


def _make(
    lines: Sequence[str], row: int, titles: Sequence[str], recipe: TextsRecipe, rng: random.Random
) -> str:
    line, dice = lines[row], rng.random()
    if dice < recipe.joined:
        return " ".join(lines[row : row + rng.choice((2, 2, 3))])
    dice -= recipe.joined
    if dice < recipe.composed:
        return _compose(lines, row, titles, rng)
    dice -= recipe.composed
    words = line.split()
    if dice < recipe.clipped and len(words) > 1:
        return " ".join(words[: rng.randint(1, min(6, len(words) - 1))])
    return line


def _compose(lines: Sequence[str], row: int, titles: Sequence[str], rng: random.Random) -> str:
    """An invented catalogue entry: a title, a few words as topics, one or two lines of prose."""
    prose = " ".join(lines[row : row + rng.choice((1, 1, 2))])
    words = [word.strip(".,;:!?()\"'") for word in prose.split() if len(word) > 4]
    topics = rng.sample(words, min(len(words), rng.randint(0, 4)))
    title = rng.choice(titles) if titles and rng.random() < 0.5 else " ".join(prose.split()[:4])
    return ". ".join(part for part in (title.rstrip("."), ", ".join(topics), prose) if part)
