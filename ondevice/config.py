"""One frozen configuration. Strict TOML: an unknown key is an error, never ignored."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a person can set, with the defaults.

    `origin` says where each value came from: "default" or the path of a file.
    """

    epsilon: float = 4.0  # lifetime cap of every stream, by zCDP at `delta`
    delta: float = 1e-6
    unit: str = "behaviour"
    weights: Mapping[Kind, float] = field(default_factory=lambda: KIND_WEIGHTS)
    origin: Mapping[str, str] = field(default_factory=dict)


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
