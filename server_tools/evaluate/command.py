"""`ondevice-server evaluate`."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondevice.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ondevice.formats.tensors import F32
    from server_tools.evaluate.data import Dataset
    from server_tools.evaluate.protocols import Report
    from server_tools.head.learned import Learned

_COLUMNS = ("ndcg@10", "hr@10", "recall@50", "coverage", "novelty", "diversity")


@click.command()
@click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option("--protocol", type=click.Choice(["official", "users", "zero-shot"]), required=True)
@click.option(
    "--epsilon",
    "epsilons",
    default="inf,8,4,2,1",
    show_default=True,
    help="Lifetime budgets, with commas between; inf for no noise.",
)
@click.option("--baselines", is_flag=True, help="Measure them in the same run.")
@click.option(
    "--space",
    "space_folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The space or the head to measure; by default `users` trains a head.",
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".work"),
    show_default=True,
    help="Where encoded texts are kept.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def evaluate(
    folder: Path,
    *,
    protocol: str,
    epsilons: str,
    baselines: bool,
    space_folder: Path | None,
    seed: int,
    work: Path,
    as_json: bool,
) -> None:
    """Measure recommendations on the data set in DIR.

    DIR has items.jsonl and interactions.csv. Users are split by --seed: 70 % are the publisher's,
    30 % are devices, which rank the whole catalogue after the first 80 % of their history. The
    protocol "official" trains on official_valid.jsonl instead and is scored on official_test.jsonl.
    """
    from ondevice.encoder.session import Encoder
    from ondevice.formats import space as spaces
    from ondevice.formats.tensors import F32
    from ondevice.paths import bundled
    from server_tools.evaluate import data, official, protocols, vectors

    budgets = parse_epsilons(epsilons)
    encoder = Encoder.load(bundled("encoder"))
    dataset = data.load(folder)
    found = vectors.cached(encoder, dataset.texts, work, progress=_progress)

    def say(text: str) -> None:
        click.echo(text, err=True)

    if protocol == "official":
        titles = [item.title for item in dataset.items]
        told = official.run(
            dataset,
            folder,
            titles=vectors.cached(encoder, titles, work, progress=_progress),
            texts=found,
            seed=seed,
            teacher=lambda: vectors.cached(vectors.Teacher(), dataset.texts, work),
            with_baselines=baselines,
            say=say,
        )
        click.echo(json.dumps(told.as_dict()) if as_json else official.table(told))
        return
    head = None if space_folder is None else _given(space_folder)
    if space_folder is None and protocol == "users":
        head = trained(dataset, found, encoder=encoder.digest, seed=seed, work=work, say=say)
    space = spaces.read(space_folder or bundled("space")) if head is None else head.space
    if space.encoder != encoder.digest:
        raise ConfigError(
            f"the space '{space.name}' belongs to another encoder",
            hint="make it again with the encoder that is installed",
        )

    def teacher() -> F32:
        return vectors.cached(vectors.Teacher(), dataset.texts, work, progress=_progress)

    report = protocols.run(
        dataset,
        protocol=protocol,
        space=space,
        vectors=found,
        epsilons=budgets,
        head=head,
        seed=seed,
        teacher=teacher,
        with_baselines=baselines,
        say=say,
    )
    click.echo(json.dumps(report.as_dict()) if as_json else table(report))


def trained(
    dataset: "Dataset",
    vectors: "F32",
    *,
    encoder: str,
    seed: int,
    work: Path,
    say: "Callable[[str], None]",
) -> "Learned":
    """Return a head that learned from the publisher's users of the split, kept in `work`."""
    from server_tools.evaluate.data import split
    from server_tools.head import task
    from server_tools.head.trainer import HeadRecipe

    return task.cached(
        [item.id for item in dataset.items],
        vectors,
        split(dataset, seed=seed).publisher,
        encoder=encoder,
        texts=dataset.texts,
        recipe=HeadRecipe(seed=seed),
        work=work,
        say=say,
    )


def _given(folder: Path) -> "Learned | None":
    from server_tools.head import learned

    return learned.read(folder) if learned.has_items(folder) else None


def parse_epsilons(text: str) -> list[float]:
    """Read "inf,4,1".

    Raises:
        ConfigError: something else than positive numbers.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(value > 0 for value in values):  # NaN is not
        raise ConfigError(
            f"--epsilon {text}: not positive numbers", hint="for example --epsilon 1,4,inf"
        )
    return sorted(set(values), reverse=True)


def table(report: "Report") -> str:
    """Lay the report out for people."""
    lines = [
        f"{report.dataset}, {report.protocol}: {len(report.split.devices)} devices, "
        f"{report.items} items",
        f"{'':16}{'epsilon':>8}" + "".join(f"{name:>11}" for name in _COLUMNS),
    ]
    for row in report.rows:
        figures = row.figures.as_dict()
        epsilon = "" if row.epsilon is None else f"{row.epsilon:g}"
        lines.append(
            f"{row.name:16}{epsilon:>8}" + "".join(f"{figures[name]:11.4f}" for name in _COLUMNS)
        )
    stds = [r for r in report.rows if r.noise_std and r.name in {"ours", "single_release"}]
    if stds and math.isfinite(stds[0].noise_std or math.inf):
        told = ", ".join(f"{r.name} {r.epsilon:g}: {r.noise_std:.3f}" for r in stds)
        lines.append(f"standard deviation of the noise: {told}")
    return "\n".join(lines)


def _progress(done: int, total: int) -> None:
    click.echo(f"encoded {done} of {total} texts", err=True)
