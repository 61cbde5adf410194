"""Trim a WordPiece vocabulary without losing any text.

Kept: special tokens, every single character and `##character`, and the tokens most used in the
texts. Greedy longest-match then falls back to smaller pieces, at worst to characters; a token
that its own pieces could not spell is kept too, so no text the teacher reads becomes [UNK].
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ondevice.errors import ConfigError

CONTINUES = "##"
UNKNOWN = "[UNK]"
_UNUSED = re.compile(r"\[unused\d+\]")


def load(folder: Path, *, max_tokens: int) -> Tokenizer:
    """The tokenizer in `folder`, truncating at `max_tokens` and never padding.

    Raises:
        ConfigError: the folder has no tokenizer.json.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigError(
            f"no tokenizer.json in {folder}", hint="a BERT folder with a fast tokenizer is needed"
        )
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def count(tokenizer: Tokenizer, texts: Sequence[str]) -> Counter[int]:
    """How often each token id occurs in `texts`."""
    counts: Counter[int] = Counter()
    for start in range(0, len(texts), 10_000):
        for each in tokenizer.encode_batch(list(texts[start : start + 10_000])):
            counts.update(each.ids)
    return counts


def frequencies(
    counts: Mapping[str, Counter[int]], shares: Mapping[str, float], *, prior: float, size: int
) -> list[float]:
    """Each token's use, corpora balanced by share, mixed with a Zipf law over the id's order.

    The teacher's vocabulary is sorted by frequency in general text: the prior keeps common words
    that our corpora happen not to use.
    """
    total_share = sum(shares[name] for name in counts) or 1.0
    use = [0.0] * size
    for name, counter in counts.items():
        total = sum(counter.values()) or 1
        for token, times in counter.items():
            use[token] += shares[name] / total_share * times / total
    harmonic = sum(1.0 / (rank + 1) for rank in range(size))
    return [(1 - prior) * each + prior / ((rank + 1) * harmonic) for rank, each in enumerate(use)]


def trim(tokenizer: Tokenizer, use: Sequence[float], *, size: int) -> tuple[str, list[int]]:
    """Cut the vocabulary to `size` tokens.

    Args:
        tokenizer: the teacher's WordPiece tokenizer.
        use: per teacher token id, how much it is used.
        size: tokens to keep.

    Returns:
        The new tokenizer as JSON text, and the teacher's id of each new token, in order.

    Raises:
        ConfigError: not WordPiece, or `size` is too small to stay lossless.
    """
    parts = json.loads(tokenizer.to_str())
    if parts["model"].get("type") != "WordPiece":
        raise ConfigError(
            f"the vocabulary is {parts['model'].get('type')}, not WordPiece",
            hint="only BERT-like teachers can be trimmed",
        )
    vocabulary: dict[str, int] = parts["model"]["vocab"]
    special = {each["content"] for each in parts["added_tokens"]}
    must = {
        token for token in vocabulary if token in special or len(token.removeprefix(CONTINUES)) == 1
    }
    rest = sorted(
        (t for t in vocabulary if t not in must and not _UNUSED.fullmatch(t)),
        key=lambda token: (-use[vocabulary[token]], vocabulary[token]),
    )
    must.update(token for token in rest if not _spelt(token, must))
    if len(must) > size:
        raise ConfigError(
            f"student.vocabulary = {size} is too small: {len(must)} tokens are needed to spell "
            "every text"
        )
    chosen = must.union([token for token in rest if token not in must][: size - len(must)])
    kept = sorted(chosen, key=vocabulary.__getitem__)
    return _rewrite(parts, kept), [vocabulary[token] for token in kept]


def _spelt(token: str, pieces: set[str]) -> bool:
    """Whether single characters of `pieces` spell `token`."""
    word = token.removeprefix(CONTINUES)
    inner = all(CONTINUES + letter in pieces for letter in word[1:])
    first = CONTINUES + word[0] if token.startswith(CONTINUES) else word[0]
    return inner and first in pieces


def _rewrite(parts: dict[str, Any], kept: Iterable[str]) -> str:
    """The tokenizer's JSON with new ids, no padding and no truncation of its own."""
    ids = {token: new for new, token in enumerate(kept)}
    parts["model"]["vocab"] = ids
    parts["padding"] = parts["truncation"] = None
    for each in parts["added_tokens"]:
        each["id"] = ids[each["content"]]
    for each in (parts.get("post_processor") or {}).get("special_tokens", {}).values():
        each["ids"] = [ids[token] for token in each["tokens"]]
    processor = parts.get("post_processor") or {}
    for key in ("sep", "cls"):  # BertProcessing names its tokens with their ids
        if key in processor:
            processor[key] = [processor[key][0], ids[processor[key][0]]]
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
