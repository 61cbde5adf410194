"""`results.json`: what a command measured, written by commands and quoted by cards."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ondevice.errors import FormatError, NotReadyError
from server_tools.recipe import Recipe

NAME = "results.json"


def encoder(
    recipe: Recipe,
    *,
    digest: str,
    progress: Mapping[str, Any],
    parity: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> dict[str, Any]:
    """The results of a quantised encoder, before it is measured beside others."""
    return {
        "schema": 1,
        "name": recipe.name,
        "digest": digest,
        "recipe": recipe.digest,
        "training": dict(progress),
        "parity": dict(parity),
        "inputs": dict(inputs),
    }


def read(path: Path) -> dict[str, Any]:
    """Read results back.

    Raises:
        NotReadyError: there are none yet.
        FormatError: not a JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotReadyError(
            f"no results in {path}", hint="run `ondevice-server quantize RECIPE` first"
        ) from error
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise FormatError(f"{path} is not a JSON object")
    return found


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write results, keys in the order given."""
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
