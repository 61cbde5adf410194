"""The office table of the documentation: what was measured, beside what others published."""

from server_tools.evaluate.official import OfficialReport

COLUMNS = ("hr@5", "ndcg@5", "hr@10", "ndcg@10")
PUBLISHED = {  # arXiv 2510.24431, table 1
    "SASRec": (0.0949, 0.0805, 0.1120, 0.0858),
    "HSTU": (0.1252, 0.1079, 0.1400, 0.1126),
    "TIGER": (0.1163, 0.0960, 0.1408, 0.1002),
    "D3": (0.1406, 0.1139, 0.1634, 0.1213),
    "S-DPO": (0.1356, 0.1110, 0.1587, 0.1255),
    "MiniOneRec": (0.1420, 0.1172, 0.1634, 0.1242),
}
CAVEAT = (
    "The published methods train on the full train split and select on valid. That train file is "
    "not at hand here: these heads train on the valid rows with their histories, which are more "
    "recent. So the two halves of the table do not see the same data."
)


def page(report: OfficialReport) -> str:
    """Return the page, Markdown; the same report gives the same page."""
    lines = [
        f"# Lists on {report.dataset}, the published split",
        "",
        "Written by `make bench` (tests/bench/test_office.py). Full ranking of "
        f"{report.items} items for {report.test_rows} rows; no sampled negatives. Trained and "
        f"chosen on {report.valid_rows} valid rows alone.",
        "",
        f"**Caveat.** {CAVEAT}",
        "",
        f"{report.repeats:.1%} of the targets are in the row's history already. Items of the "
        "history are no candidates unless one is the target, so a recommender that puts things "
        "back on the list finds those at once; the last column leaves such rows out.",
        "",
        "| | " + " | ".join(name.upper() for name in COLUMNS) + " | min-max | new, NDCG@10 |",
        "|---|" + "---|" * (len(COLUMNS) + 2),
    ]
    for name, figures in PUBLISHED.items():
        cells = " | ".join(_short(value) for value in figures)
        lines.append(f"| {name} (published) | {cells} | | |")
    for row in report.rows:
        cells = " | ".join(_short(row.mean[name]) for name in COLUMNS)
        spread = f"{_short(row.least['ndcg@10'])} to {_short(row.most['ndcg@10'])}"
        spread = f"{spread}, {row.seeds} seeds" if row.seeds > 1 else ""
        lines.append(f"| {row.name} | {cells} | {spread} | {_short(row.mean['new_ndcg@10'])} |")
    lines += [
        "",
        "`ours_exact` has several interests (a log-sum-exp over past items), `ours` one user "
        "vector; both without privacy, for the owner's eyes only, scored in NumPy from int8 codes "
        "as a device would.",
    ]
    return "\n".join(lines) + "\n"


def _short(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")
