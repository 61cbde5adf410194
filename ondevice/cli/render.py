"""How lists and guarantees look, in JSON and in lines. Used by several commands."""

from collections.abc import Iterable, Sequence
from typing import Any

from ondevice.domain import Privacy, Recommendation


def items_as_json(items: Iterable[Recommendation]) -> list[dict[str, Any]]:
    """The item keys of the contract, in the list's order."""
    return [
        {
            "rank": shown.rank,
            "id": shown.item.id,
            "title": shown.item.title,
            "score": shown.score,
            "category": shown.item.category,
            "url": shown.item.url,
        }
        for shown in items
    ]


def privacy_as_json(privacy: Privacy) -> dict[str, Any]:
    """The guarantee that stands behind a list."""
    return {
        "epsilon": privacy.epsilon,
        "delta": privacy.delta,
        "unit": privacy.unit,
        "mechanism": privacy.mechanism,
    }


def list_lines(items: Sequence[Recommendation]) -> list[str]:
    """One line an item: `rank title — because …`."""
    width = len(str(max((shown.rank for shown in items), default=1)))
    return [
        f"{shown.rank:>{width}} {shown.item.title}"
        + (f" — {shown.because}" if shown.because else "")
        for shown in items
    ]
