"""The first half of a run, done once: mix the texts, trim the vocabulary, note every input."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from ondevice.errors import ConfigError
from server_tools.distill import corpus, vocabulary
from server_tools.recipe import Recipe, file_digest

_SAMPLE = 20_000  # lines of a corpus that are enough to know its words


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What training reads."""

    texts: tuple[str, ...]
    families: tuple[int, ...]  # of each text
    domains: tuple[int, ...]  # of each text, or none
    tokenizer: Tokenizer  # the student's
    kept: tuple[int, ...]  # teacher token id of each student token
    inputs: dict[str, str]  # input → SHA-256 hex


def prepare(recipe: Recipe, *, teacher: Path, data: Path, work: Path) -> Prepared:
    """Mix texts and trim the vocabulary into `work`, or read back what an earlier start made.

    Raises:
        ConfigError: an input is missing, or differs from what this run began with.
    """
    inputs = _inputs(recipe, teacher=teacher, data=data)
    note = work / "inputs.json"
    if note.is_file():
        began = json.loads(note.read_text(encoding="utf-8"))
        changed = sorted(name for name in began if began[name] != inputs.get(name))
        if changed:
            raise ConfigError(
                f"the input '{changed[0]}' is no longer what this run began with",
                hint=f"bring it back, or start anew without {work}",
            )
    else:
        _make(recipe, teacher=teacher, data=data, work=work)
        _write(note, json.dumps(inputs, indent=1))
    texts = json.loads((work / "texts.json").read_text(encoding="utf-8"))
    kept = json.loads((work / "kept.json").read_text(encoding="utf-8"))
    tokenizer = vocabulary.load(work, max_tokens=recipe.student.max_tokens)
    groups = work / "groups.json"
    families, domains = (
        json.loads(groups.read_text(encoding="utf-8"))
        if groups.is_file()
        else (range(len(texts)), ())
    )
    return Prepared(
        texts=tuple(texts),
        families=tuple(families),
        domains=tuple(domains),
        tokenizer=tokenizer,
        kept=tuple(kept),
        inputs=inputs,
    )


def _inputs(recipe: Recipe, *, teacher: Path, data: Path) -> dict[str, str]:
    files = {f"teacher/{name}": teacher / name for name in ("config.json", "tokenizer.json")}
    for weights in ("model.safetensors", "pytorch_model.bin"):
        if (teacher / weights).is_file():
            files[f"teacher/{weights}"] = teacher / weights
    for name in sorted(recipe.texts.shares):
        files[f"texts/{name}"] = data / f"{name}{corpus.SUFFIX}"
    for name, path in files.items():
        if not path.is_file():
            raise ConfigError(
                f"the input '{name}' is missing: {path}",
                hint="name the folders with --data DIR and --teacher DIR",
            )
    return {name: file_digest(path) for name, path in files.items()}


def _make(recipe: Recipe, *, teacher: Path, data: Path, work: Path) -> None:
    corpora = corpus.read(data, recipe.texts)
    pool = corpus.gather(corpora, recipe.texts, seed=recipe.seed)
    if not pool.texts:
        raise ConfigError("the corpora hold no text to learn from")
    tokenizer = vocabulary.load(teacher, max_tokens=recipe.teacher.max_tokens)
    counts: dict[str, Counter[int]] = {}
    for each in corpora:
        step = max(1, len(each.lines) // _SAMPLE)
        counts[each.name] = vocabulary.count(tokenizer, each.lines[::step])
    use = vocabulary.frequencies(
        counts,
        recipe.texts.shares,
        prior=recipe.student.zipf_prior,
        size=tokenizer.get_vocab_size(),
    )
    trimmed, kept = vocabulary.trim(tokenizer, use, size=recipe.student.vocabulary)
    _write(work / "texts.json", json.dumps(pool.texts, ensure_ascii=False))
    if pool.domains:
        _write(work / "groups.json", json.dumps([pool.families, pool.domains]))
    _write(work / "kept.json", json.dumps(kept))
    _write(work / "tokenizer.json", trimmed)


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
