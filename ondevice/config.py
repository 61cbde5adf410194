"""One frozen configuration. Strict TOML: an unknown key is an error, never ignored."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType

from ondevice.domain import Kind
from ondevice.errors import ConfigError

KIND_WEIGHTS: Mapping[Kind, float] = MappingProxyType(
    {
        Kind.PURCHASE: 1.0,
        Kind.LIKE: 1.0,
        Kind.USE: 0.6,
        Kind.LISTEN: 0.5,
        Kind.SEARCH: 0.4,
        Kind.VIEW: 0.3,
        Kind.DISLIKE: -0.6,
    }
)


FEATURES = ("rating", "recency", "popularity", "novelty")
_SHARES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        **dict.fromkeys(FEATURES, (-1.0, 1.0)),
        "diversity": (0.0, 0.9),
        "discovery": (0.0, 0.5),
        "price_min": (0.0, 1e15),
        "price_max": (0.0, 1e15),
        "age_limit": (0.0, 21.0),
    }
)
_LISTS = ("allow", "deny", "interests")
_LIST_LIMIT = 200  # rules, or interests
_NO_PACE: Mapping[str, int | None] = MappingProxyType({"auto": None, "off": 0})
_PACE = re.compile(r"([1-9][0-9]{0,3})([mhd])")
_SECONDS = MappingProxyType({"m": 60, "h": 3600, "d": 86_400})
_FASTEST, _SLOWEST = 300, 7 * 86_400  # seconds
RULE_FIELDS = ("category", "tag", "source", "series", "title", "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """How lists are made from scores. Public: it acts on both views, unlike a mute or a pick.

    A weight of 1 moves an item at its extreme by the spread (standard deviation) of all scores.
    """

    rating: float = 0.0
    recency: float = 0.0
    popularity: float = 0.0  # beyond what the score holds already
    novelty: float = 0.0  # for what few people know
    diversity: float = 0.3  # how much likeness to items above counts; 0 is by score alone
    discovery: float = 0.0  # share of places for categories that the list hardly has
    price_min: float = 0.0
    price_max: float | None = None
    age_limit: int | None = None  # years; items for older people are left out
    allow: tuple[str, ...] = ()  # "category:Comedy", "tag:…", or a bare word for both
    deny: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()  # words that both views start from


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a person can set, with the defaults.

    `origin` says where each value came from: "default" or the path of a file.
    """

    epsilon: float = 4.0  # lifetime cap of every stream, by zCDP at `delta`
    delta: float = 1e-6
    unit: str = "behaviour"  # what is hidden: a behaviour, or a day as a whole
    day_spaces: int = 1  # with unit = "day", how many spaces share the cap of one day
    shared_clock: str = "auto"  # "off", or the pace of the shared view: "15m", "1h", "1d"
    keep_text_days: int | None = None  # older words are forgotten by themselves; None: kept
    exact: bool = False  # the owner's list from raw history, without noise
    ranking: Ranking = field(default_factory=Ranking)
    weights: Mapping[Kind, float] = field(default_factory=lambda: KIND_WEIGHTS)
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def clock_seconds(self) -> int | None:
        """The pace of the shared view; 0 for off, None where each home keeps what it has."""
        if self.shared_clock in _NO_PACE:
            return _NO_PACE[self.shared_clock]
        return _pace(self.shared_clock)


def load(path: Path) -> Config:
    """Read `path`; a missing file gives the defaults.

    Raises:
        ConfigError: not TOML, an unknown key, or a value out of range.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config(origin={f.name: "default" for f in fields(Config) if f.name != "origin"})
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", hint="check the file, or remove it"
        ) from error
    return parse(text, origin=str(path))


def parse(text: str, *, origin: str) -> Config:
    """Turn TOML `text` into a `Config`; see `load` for errors."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{origin} is not valid TOML: {error}", hint="correct that line, or remove the file"
        ) from error
    known = {f.name for f in fields(Config)} - {"origin"}
    for key in table:
        if key not in known:
            raise ConfigError(
                f"{origin}: unknown key '{key}'", hint=f"known keys: {', '.join(sorted(known))}"
            )
    values: dict[str, object] = {}
    values |= _privacy(table, origin)
    if "keep_text_days" in table:
        days = _number(table["keep_text_days"], "keep_text_days", low=1, high=36_500, origin=origin)
        values["keep_text_days"] = int(days)
    if "exact" in table:
        if not isinstance(table["exact"], bool):
            raise ConfigError(
                f"{origin}: exact must be true or false", hint="write exact = true, or leave it out"
            )
        values["exact"] = table["exact"]
    if "ranking" in table:
        values["ranking"] = _ranking(table["ranking"], origin)
    if "weights" in table:
        values["weights"] = _weights(table["weights"], origin)
    where = {name: origin if name in table else "default" for name in known}
    return Config(**values, origin=where)  # type: ignore[arg-type]  # each checked above


def _number(value: object, key: str, *, low: float, high: float, origin: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(
            f"{origin}: {key} must be a number from {low:g} to {high:g}",
            hint="correct it, or leave it out for the default",
        )
    return float(value)


def _privacy(table: Mapping[str, object], origin: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, low, high in (("epsilon", 0.01, 20.0), ("delta", 1e-12, 1e-3)):
        if key in table:
            values[key] = _number(table[key], key, low=low, high=high, origin=origin)
    if "unit" in table:
        if table["unit"] not in {"behaviour", "day"}:
            raise ConfigError(
                f"{origin}: unit must be 'behaviour' or 'day'",
                hint='write unit = "behaviour", or leave it out',
            )
        values["unit"] = table["unit"]
    if "day_spaces" in table:
        spaces = _number(table["day_spaces"], "day_spaces", low=1, high=16, origin=origin)
        values["day_spaces"] = int(spaces)
    if "shared_clock" in table:
        given = table["shared_clock"]
        if given not in list(_NO_PACE) and (not isinstance(given, str) or _pace(given) is None):
            raise ConfigError(
                f"{origin}: shared_clock must be 'off', 'auto', or a time from 5m to 7d",
                hint='write shared_clock = "1h", or leave it out',
            )
        values["shared_clock"] = given
    return values


def _pace(text: str) -> int | None:
    """Return the seconds of a time like "15m", or None where it is none that we take."""
    found = _PACE.fullmatch(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    return seconds if _FASTEST <= seconds <= _SLOWEST else None


def _weights(value: object, origin: str) -> Mapping[Kind, float]:
    if not isinstance(value, dict):
        raise ConfigError(
            f"{origin}: weights must be a table of kind = number",
            hint="write [weights] on a line, and view = 0.3 on the next",
        )
    merged = dict(KIND_WEIGHTS)
    for name, weight in value.items():
        if name not in set(Kind):
            raise ConfigError(
                f"{origin}: unknown kind '{name}' in weights", hint=f"kinds: {', '.join(Kind)}"
            )
        merged[Kind(name)] = _number(weight, f"weights.{name}", low=-1.0, high=1.0, origin=origin)
    return MappingProxyType(merged)


def _ranking(value: object, origin: str) -> Ranking:
    known = {f.name for f in fields(Ranking)}
    if not isinstance(value, dict) or not known.issuperset(value):
        wrong = "" if not isinstance(value, dict) else f", not {sorted(set(value) - known)[0]!r}"
        raise ConfigError(
            f"{origin}: ranking must be a table of known keys{wrong}",
            hint=f"write [ranking] on a line; keys: {', '.join(sorted(known))}",
        )
    given: dict[str, object] = {}
    for name, one in value.items():
        if name in _LISTS:
            given[name] = _words(one, f"ranking.{name}", origin)
            continue
        low, high = _SHARES[name]
        number = _number(one, f"ranking.{name}", low=low, high=high, origin=origin)
        given[name] = int(number) if name == "age_limit" else number
    made = Ranking(**given)  # type: ignore[arg-type]  # each checked above
    for rule in (*made.allow, *made.deny):
        name = rule.partition(":")[0].strip()
        if ":" in rule and name not in RULE_FIELDS:
            raise ConfigError(
                f"{origin}: the rule '{rule}' names no field",
                hint=f"write a word, or FIELD:VALUE with one of: {', '.join(RULE_FIELDS)}",
            )
    if made.price_max is not None and made.price_max < made.price_min:
        raise ConfigError(
            f"{origin}: no price lies from {made.price_min:g} to {made.price_max:g}",
            hint="set price_max above price_min",
        )
    return made


def _words(value: object, key: str, origin: str) -> tuple[str, ...]:
    good = isinstance(value, list) and all(isinstance(one, str) and one.strip() for one in value)
    if not isinstance(value, list) or not good or len(value) > _LIST_LIMIT:
        raise ConfigError(
            f"{origin}: {key} must be a list of at most {_LIST_LIMIT} texts",
            hint=f'write {key.partition(".")[2]} = ["one", "another"]',
        )
    return tuple(str(one).strip() for one in value)
