"""What privacy of the training costs: the `users` protocol with heads of several budgets.

Two budgets meet here: that of the training, which protects the publisher's users, and that of a
device's stream, which protects its owner. Heads of every training budget are asked at the same
budgets of the stream.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ondevice.formats.tensors import F32
from server_tools.evaluate import protocols
from server_tools.evaluate.data import Dataset, split
from server_tools.head import dp_head
from server_tools.head.dp_train import PrivateRecipe

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One training, at one budget of the stream."""

    dataset: str
    training: float  # epsilon of the training; infinite: none
    stream: float  # epsilon of the device's stream
    least: float  # NDCG@10, owner's view
    mean: float
    most: float


def measure(
    dataset: Dataset,
    vectors: F32,
    *,
    encoder: str,
    trainings: Sequence[float],
    streams: Sequence[float],
    seeds: int = 3,
    recipe: PrivateRecipe | None = None,
    say: Say = lambda _: None,
) -> list[Entry]:
    """Train at every budget and measure on the devices of the split.

    Args:
        dataset: n items and their users.
        vectors: (n, e), of the encoder.
        encoder: its digest, hex.
        trainings: epsilons of the training, infinite for none.
        streams: epsilons of the stream.
        seeds: trainings at each budget.
        recipe: choices; the shipped ones by default.
        say: told what is going on.

    Raises:
        ConfigError: too few users.
    """
    publisher = split(dataset).publisher
    ids = [item.id for item in dataset.items]
    found = []
    for training in trainings:
        reached: dict[float, list[float]] = {stream: [] for stream in streams}
        for _ in range(seeds):
            head = dp_head.fit(
                ids,
                vectors,
                publisher,
                encoder=encoder,
                epsilon=training,
                recipe=recipe or PrivateRecipe(),
                say=say,
            ).learned
            report = protocols.run(
                dataset,
                protocol="users",
                space=head.space,
                vectors=vectors,
                epsilons=streams,
                head=head,
            )
            for row in report.rows:
                if row.name == "ours" and row.view == "owner" and row.epsilon in reached:
                    reached[row.epsilon].append(row.figures.ndcg)
        for stream, values in reached.items():
            found.append(
                Entry(
                    dataset=dataset.name,
                    training=training,
                    stream=stream,
                    least=min(values),
                    mean=float(np.mean(values)),
                    most=max(values),
                )
            )
            say(f"{dataset.name}: training {training:g}, stream {stream:g}: {np.mean(values):.4f}")
    return found


def page(entries: Sequence[Entry]) -> str:
    """Return the table, Markdown."""
    lines = [
        "# Heads trained with user-level differential privacy",
        "",
        "Written by tests/bench/test_private_head.py. NDCG@10, owner's view, protocol `users`; "
        "mean of several trainings, least and most in brackets. Rows: epsilon of the training, "
        "for each of the publisher's users. Columns: epsilon of a device's stream, for life.",
    ]
    streams = sorted({one.stream for one in entries}, reverse=True)
    for name in dict.fromkeys(one.dataset for one in entries):
        mine = [one for one in entries if one.dataset == name]
        lines += ["", f"## {name}", "", "| training | " + _cells(f"{s:g}" for s in streams)]
        lines.append("|---|" + "---|" * len(streams))
        for training in sorted({one.training for one in mine}, reverse=True):
            at = {one.stream: one for one in mine if one.training == training}
            cells = (f"{at[s].mean:.4f} ({at[s].least:.4f}-{at[s].most:.4f})" for s in streams)
            lines.append(f"| {training:g} | " + _cells(cells))
    return "\n".join(lines) + "\n"


def _cells(values: Iterable[str]) -> str:
    return " | ".join(values) + " |"
