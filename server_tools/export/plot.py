"""plot.svg: quality against size and speed, ours and its peers. Written by commands only."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NAME = "plot.svg"
_WIDE, _HIGH, _EDGE = 360, 260, 48
_INK = 'font-family="sans-serif" font-size="11" fill="#222"'


def write(folder: Path, results: Mapping[str, Any]) -> bool:
    """Draw what `results` measured beside others into the folder; False if there is nothing."""
    evaluation = results.get("evaluation")
    if not evaluation or len(evaluation["models"]) < 2:  # ours has no peer
        return False
    (folder / NAME).write_text(draw(evaluation["models"]), encoding="utf-8")
    return True


def draw(models: Sequence[Mapping[str, Any]]) -> str:
    """The models' first Spearman against MiB and against texts per CPU-second, as SVG text."""
    name = next(iter(models[0]["spearman"]))
    quality = [float(each["spearman"][name]) for each in models]
    sizes = [each["bytes"] / 2**20 for each in models]
    paces = [float(each["texts_per_cpu_s"]) for each in models]
    labels = [str(each["name"]) for each in models]
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" '
            f'viewBox="0 0 {2 * _WIDE} {_HIGH}">',
            f"<title>Spearman on {name} against size and speed</title>",
            f'<rect width="{2 * _WIDE}" height="{_HIGH}" fill="#fff"/>',
            *_panel(0, sizes, quality, labels, across="MiB", up=name),
            *_panel(_WIDE, paces, quality, labels, across="texts per CPU-second", up=name),
            "</svg>",
            "",
        ]
    )


def _panel(
    left: int,
    across_values: Sequence[float],
    up_values: Sequence[float],
    labels: Sequence[str],
    *,
    across: str,
    up: str,
) -> list[str]:
    most = 1.15 * max(across_values)
    low, high = min(up_values) - 0.01, max(up_values) + 0.01
    x0, x1, y0, y1 = left + _EDGE, left + _WIDE - 12, _HIGH - _EDGE, 24
    lines = [
        f'<path d="M{x0} {y1}V{y0}H{x1}" fill="none" stroke="#888"/>',
        f'<text x="{(x0 + x1) / 2:.0f}" y="{_HIGH - 14}" text-anchor="middle" {_INK}>'
        f"{across}</text>",
        f'<text x="{x0}" y="14" {_INK}>{up}</text>',
    ]
    for part in (0.0, 0.5, 1.0):
        x, y = x0 + part * (x1 - x0), y0 + part * (y1 - y0)
        lines += [
            f'<text x="{x:.0f}" y="{y0 + 15}" text-anchor="middle" {_INK}>{part * most:.0f}</text>',
            f'<text x="{x0 - 4}" y="{y + 4:.0f}" text-anchor="end" {_INK}>'
            f"{low + part * (high - low):.3f}</text>",
        ]
    for row, (value, height, label) in enumerate(
        zip(across_values, up_values, labels, strict=True)
    ):
        x = x0 + value / most * (x1 - x0)
        y = y0 + (height - low) / (high - low) * (y1 - y0)
        side, shift = ("end", -7) if x > (x0 + x1) / 2 else ("start", 7)
        lines += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{"#c33" if row == 0 else "#357"}"/>',
            f'<text x="{x + shift:.1f}" y="{y + 4 + 11 * (row % 2):.1f}" text-anchor="{side}" '
            f"{_INK}>{label}</text>",
        ]
    return lines
