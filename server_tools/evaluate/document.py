"""Reports as a page of the documentation: a table of every set, and a plot of quality by epsilon.

Pure: the same reports give the same bytes. `tests/bench/test_quality.py` writes both.
"""

import math
from collections.abc import Sequence
from html import escape

from server_tools.evaluate.protocols import Report

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 230, 150, 46, 34, 26
_ACROSS = 3  # panels in a row
_BASELINES = ("popularity", "tfidf", "itemknn", "ease", "zero_shot")
_SHADES = {"ours": "#1b6ca8", "single_release": "#6a9a3b", "fresh_noise": "#b5533c"}
_MISSING = "–"


def table(reports: Sequence[Report]) -> str:
    """Return NDCG@10 of every set as Markdown: by epsilon, then the baselines."""
    epsilons = _epsilons(reports)
    heads = [f"epsilon {e:g}" if math.isfinite(e) else "no privacy" for e in epsilons]
    lines = [
        "| set (devices) | row | " + " | ".join(heads) + " |",
        "|---" * (len(heads) + 2) + "|",
    ]
    for report in reports:
        names = dict.fromkeys(row.name for row in report.rows if row.epsilon is not None)
        for name in names:
            cells = [_cell(report, name, epsilon) for epsilon in epsilons]
            place = f"{report.dataset} ({len(report.split.devices)})"
            lines.append(f"| {place} | {name} | " + " | ".join(cells) + " |")
    lines += ["", "| set | " + " | ".join(_BASELINES) + " |", "|---" * (len(_BASELINES) + 1) + "|"]
    lines += [
        f"| {report.dataset} | "
        + " | ".join(_cell(report, name, None) for name in _BASELINES)
        + " |"
        for report in reports
    ]
    return "\n".join(lines) + "\n"


def plot(reports: Sequence[Report]) -> str:
    """Return an SVG with one panel for each set: NDCG@10 of the owner's list by epsilon."""
    epsilons = [e for e in _epsilons(reports) if math.isfinite(e)]
    rows = math.ceil(len(reports) / _ACROSS)
    width = _ACROSS * (_WIDTH + _LEFT + _GAP) + _GAP
    height = rows * (_HEIGHT + _TOP + _GAP) + 2 * _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, report in enumerate(reports):
        x = _GAP + (number % _ACROSS) * (_WIDTH + _LEFT + _GAP) + _LEFT
        y = (number // _ACROSS) * (_HEIGHT + _TOP + _GAP) + _TOP
        parts += _panel(report, epsilons, x, y)
    place = _GAP + _LEFT
    for name, shade in (
        *_SHADES.items(),
        ("popularity", "#777777"),
        ("ours, no privacy", "#000000"),
    ):
        parts.append(f'<text x="{place}" y="{height - 12}" fill="{shade}">{escape(name)}</text>')
        place += 9 * len(name) + 24
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(report: Report, epsilons: Sequence[float], x: int, y: int) -> list[str]:
    values = {(row.name, row.epsilon): row.figures.ndcg for row in report.rows}
    top = 1.1 * max([*values.values(), 0.01])
    reach = max(1, len(epsilons) - 1)

    def across(place: int) -> float:
        return round(x + place * _WIDTH / reach, 1)

    def up(value: float) -> float:
        return round(y + _HEIGHT * (1 - value / top), 1)

    parts = [
        f'<text x="{x}" y="{y - 8}" font-weight="bold">{escape(report.dataset)}</text>',
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#bbbbbb"/>',
    ]
    parts += [
        f'<text x="{x - 40}" y="{up(value) + 4}">{value:.3f}</text>'
        for value in (0.0, top / 2, top)
    ]
    parts += [
        f'<text x="{across(place) - 6}" y="{y + _HEIGHT + 14}">{epsilon:g}</text>'
        for place, epsilon in enumerate(reversed(epsilons))
    ]
    for name, epsilon, shade in (("popularity", None, "#777777"), ("ours", math.inf, "#000000")):
        if (name, epsilon) in values:
            level = up(values[name, epsilon])
            parts.append(
                f'<line x1="{x}" x2="{x + _WIDTH}" y1="{level}" y2="{level}" stroke="{shade}" '
                'stroke-dasharray="4 3"/>'
            )
    for name, shade in _SHADES.items():
        dots = [
            f"{across(place)},{up(values[name, epsilon])}"
            for place, epsilon in enumerate(reversed(epsilons))
            if (name, epsilon) in values
        ]
        parts.append(
            f'<polyline points="{" ".join(dots)}" fill="none" stroke="{shade}" stroke-width="2"/>'
        )
    return parts


def _epsilons(reports: Sequence[Report]) -> list[float]:
    found = {row.epsilon for report in reports for row in report.rows if row.epsilon is not None}
    return sorted(found, reverse=True)


def _cell(report: Report, name: str, epsilon: float | None) -> str:
    for row in report.rows:
        if (row.name, row.epsilon) == (name, epsilon):
            return f"{row.figures.ndcg:.4f}"
    return _MISSING
