"""Frozen recipes: everything that decides what a run makes, read from strict TOML.

A recipe names its inputs by name and its choices by value; the machine's folders are flags of the
command. What was read is recorded by digest beside what was made.
"""

import dataclasses
import hashlib
import json
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ondevice.errors import ConfigError

T = TypeVar("T")


# A key that came after recipes were in use: at its default it is no part of a digest.
LATER: Mapping[str, Any] = types.MappingProxyType({"later": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherRecipe:
    """Who is imitated: an installed package that holds a model folder in full precision."""

    package: str  # import name; `distill --teacher DIR` takes a folder instead
    folder: str = "model"
    max_tokens: int = 256
    name: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentRecipe:
    """What is trained: a few of the teacher's layers over a trimmed vocabulary."""

    layers: tuple[int, ...]
    vocabulary: int  # tokens kept, special ones and single characters included
    max_tokens: int = 128
    zipf_prior: float = 0.2  # weight of the teacher's own frequency order in the choice of tokens
    # neurons kept in each feed-forward block; 0: all of them
    intermediate: int = field(default=0, metadata=LATER)
    # recipe file, beside this one, whose finished student is cut down
    start: str = field(default="", metadata=LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class NearRecipe:
    """Families of sentences that differ in little (`server_tools.distill.near`)."""

    families: int
    size: int = 4  # texts of a family
    max_words: int = 18
    invented: float = 0.4  # part of the families that begin with an invented sentence
    corpora: tuple[str, ...] = ()  # where the others begin; their words are used too


@dataclass(frozen=True, slots=True, kw_only=True)
class TextsRecipe:
    """What is read: shares of the corpora, and how texts are made longer or shorter."""

    pool: int  # distinct texts wanted
    shares: Mapping[str, float]  # corpus → relative share of the pool
    joined: float = 0.0  # part of each corpus: two or three neighbouring lines as one text
    composed: float = 0.0  # part of each corpus: "title. words. description"
    clipped: float = 0.0  # part of each corpus: the first one to six words
    max_characters: int = 600
    # lines drawn at one place of a corpus; above 1, every other chunk has batches of one corpus
    neighbours: int = field(default=1, metadata=LATER)
    near: NearRecipe = field(default=NearRecipe(families=0), metadata=LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """How it learns. Counts are in texts seen, so that a batch size can change alone.

    The rate rises over `warm_up`, stays, and falls to zero over the last `decay` of `views`. Until
    the fall begins nothing depends on `views`: a run may be planned longer or shorter before that.
    """

    views: int
    decay: int
    warm_up: int = 2_000
    batch: int = 64
    rate: float = 5e-4
    weight_decay: float = 0.01
    clip: float = 1.0
    similarity: float = 5.0  # weight of the squared error of the batch's similarity matrix
    # weight of the same within families and neighbours
    family: float = field(default=0.0, metadata=LATER)
    # weight of the divergence of whom a text finds alike
    ranking: float = field(default=0.0, metadata=LATER)
    temperature: float = field(default=0.05, metadata=LATER)  # of that divergence
    sparse_words: bool = field(default=False, metadata=LATER)  # only the words of a batch move
    embeddings_after: int = 0  # views after which word embeddings learn too
    embeddings_rate: float = 0.1  # of the rate
    chunk: int = 4_096  # texts embedded by the teacher at once
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRecipe:
    """What is watched while training, never learnt from."""

    sts: str = ""  # file name in `--sts DIR`
    every: int = 8_000  # views between measurements
    checkpoint_seconds: float = 120.0
    # views without a better measurement after which a run ends; 0: none
    patience: int = field(default=0, metadata=LATER)
    # quantise the best measured weights, not the last
    keep_best: bool = field(default=False, metadata=LATER)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseRecipe:
    """How the student becomes int8, and how far it may move."""

    per_channel: bool = True
    # avx2 or arm64, as optimum names its configurations
    target: str = field(default="avx2", metadata=LATER)
    # activation ranges found beforehand, not for every text
    static: bool = field(default=False, metadata=LATER)
    word_bits: int = field(default=8, metadata=LATER)  # 8 or 4, one scale a row
    reduce_range: bool = True  # 7-bit weights: u8 x s8 sums saturate without VNNI
    opset: int = 18
    parity_texts: int = 500
    parity_mean: float = 0.99  # mean cosine to the float student, at least
    parity_min: float = 0.95
    max_bytes: int = 12 * 1024 * 1024  # model and tokenizer together


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A corpus's licence, quoted on the card."""

    title: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One encoder, from texts to int8."""

    name: str
    seed: int
    teacher: TeacherRecipe
    student: StudentRecipe
    texts: TextsRecipe
    training: TrainingRecipe
    measure: MeasureRecipe = field(default_factory=MeasureRecipe)
    quantise: QuantiseRecipe = field(default_factory=QuantiseRecipe)
    sources: Mapping[str, Source] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 hex of everything above, independent of the file's spelling."""
        return _digest(_parts(self))

    @property
    def training_digest(self) -> str:
        """Digest of what the first step of a run depends on: no lengths, no export, no words."""
        parts = _parts(self)
        for late in ("name", "quantise", "sources", "measure"):
            del parts[late]
        for late in ("views", "decay"):
            del parts["training"][late]
        for words in ("name", "licence"):
            del parts["teacher"][words]
        return _digest(parts)


def _parts(value: Any) -> Any:
    """A recipe as plain tables, without later keys that stand at their defaults."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            each.name: _parts(getattr(value, each.name))
            for each in dataclasses.fields(value)
            if not (each.metadata.get("later") and getattr(value, each.name) == each.default)
        }
    if isinstance(value, Mapping):
        return {key: _parts(each) for key, each in value.items()}
    return [_parts(each) for each in value] if isinstance(value, tuple) else value


def _digest(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 hex of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read(path: Path) -> Recipe:
    """Read a recipe from `path`.

    Raises:
        ConfigError: no such file, not TOML, an unknown or missing key, or a value of another type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the recipe {path}: {error.strerror}",
            hint="name a TOML file such as models/encoder/recipe.toml",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the recipe {path} is not TOML: {error}") from error
    recipe = build(Recipe, table, where=path.name)
    _check(recipe)
    return recipe


def build(kind: type[T], table: object, *, where: str) -> T:
    """Make a frozen dataclass of `kind` from a TOML table; strict about keys and types.

    Raises:
        ConfigError: an unknown or missing key, or a value of another type.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table")
    hints = typing.get_type_hints(kind)
    fields = {each.name: each for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - set(fields))
    if unknown:
        raise ConfigError(
            f"{where} has an unknown key '{unknown[0]}'", hint=f"known: {', '.join(fields)}"
        )
    values: dict[str, Any] = {}
    for name, each in fields.items():
        if name in table:
            values[name] = _value(hints[name], table[name], where=f"{where}: {name}")
        elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where} lacks the key '{name}'")
    return kind(**values)


def _value(hint: Any, given: object, *, where: str) -> Any:
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, given, where=where)
    if origin is tuple and isinstance(given, list):
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, each, where=where) for each in given)
    if origin is not None and issubclass(origin, Mapping) and isinstance(given, dict):
        inner = typing.get_args(hint)[1]
        return {key: _value(inner, each, where=f"{where}.{key}") for key, each in given.items()}
    if hint is float and isinstance(given, int) and not isinstance(given, bool):
        return float(given)
    if isinstance(hint, type) and type(given) is hint:
        return given
    wanted = (
        getattr(hint, "__name__", str(hint)) if not isinstance(hint, types.GenericAlias) else hint
    )
    raise ConfigError(f"{where} must be {wanted}, not {given!r}")


def _check(recipe: Recipe) -> None:
    training, texts = recipe.training, recipe.texts
    if min(training.views, training.batch, training.chunk, texts.pool) <= 0:
        raise ConfigError("views, batch, chunk and pool must be greater than 0")
    if not 0 <= training.decay <= training.views:
        raise ConfigError("training.decay must lie between 0 and training.views")
    if not recipe.student.layers:
        raise ConfigError("student.layers names no layer of the teacher")
    if not texts.shares or min(texts.shares.values()) < 0 or sum(texts.shares.values()) <= 0:
        raise ConfigError("texts.shares needs at least one corpus and no negative share")
    if min(texts.joined, texts.composed, texts.clipped) < 0 or (
        texts.joined + texts.composed + texts.clipped > 1
    ):
        raise ConfigError("texts.joined + composed + clipped must be at most 1, each at least 0")
