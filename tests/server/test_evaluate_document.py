"""The page of quality: every figure is in the table, every set in the plot."""

import math
import xml.etree.ElementTree as ET

from server_tools.evaluate import document
from server_tools.evaluate.data import Device, Split
from server_tools.evaluate.measure import Figures, Row
from server_tools.evaluate.protocols import Report
from tests.publishing import small_space


def row(name: str, ndcg: float, epsilon: float | None = None) -> Row:
    figures = Figures(ndcg=ndcg, hit_rate=0.5, recall=0.5, coverage=0.5, novelty=3.0, diversity=0.5)
    return Row(name=name, figures=figures, deciles=(), epsilon=epsilon)


def report(name: str) -> Report:
    device = Device(user="u", behaviours=(0,), held_out=(1,))
    rows = [row("popularity", 0.05), row("ours", 0.2, math.inf)]
    rows += [row(one, 0.1, e) for one in ("ours", "fresh_noise") for e in (4.0, 1.0)]
    return Report(
        dataset=name,
        protocol="users",
        seed=0,
        split=Split(minimum=5, publisher=(), devices=(device, device)),
        items=2,
        space=small_space(),
        rows=tuple(rows),
    )


def test_the_table_has_every_figure() -> None:
    lines = document.table([report("films"), report("talks")]).splitlines()
    assert lines[0] == "| set (devices) | row | no privacy | epsilon 4 | epsilon 1 |"
    assert "| films (2) | ours | 0.2000 | 0.1000 | 0.1000 |" in lines
    assert "| talks (2) | fresh_noise | – | 0.1000 | 0.1000 |" in lines
    assert "| films | 0.0500 | – | – | – | – |" in lines


def test_the_plot_has_a_panel_for_every_set() -> None:
    names = ["one", "two", "three", "<four>"]
    drawn = document.plot([report(name) for name in names])
    assert drawn == document.plot([report(name) for name in names])
    root = ET.fromstring(drawn)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert set(names) <= set(texts)
    lines = list(root.iter("{http://www.w3.org/2000/svg}polyline"))
    assert sum(bool(line.get("points")) for line in lines) == 2 * len(names)
