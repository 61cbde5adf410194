"""`ondevice-server train-head`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondevice.errors import ConfigError

if TYPE_CHECKING:
    from server_tools.evaluate.data import Dataset


@click.command()
@click.argument(
    "folders",
    metavar="DIR...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the head: a space, and items.npz for build --residuals.",
)
@click.option("--name", default="head", show_default=True, help="Of the space.")
@click.option(
    "--dimension",
    "dimensions",
    type=click.IntRange(2, 384),
    multiple=True,
    help="Of the space; several are tried on held-out users.  [default: 32]",
)
@click.option(
    "--half-life", type=click.IntRange(1, 1 << 16), default=64, show_default=True, help="Steps."
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="An earlier head: stay near it, so that profiles can be carried over.",
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@click.option(
    "--dp-epsilon",
    type=click.FloatRange(0, min_open=True),
    help="Protect every user by DP-SGD, with this epsilon for the whole training.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".work"),
    show_default=True,
    help="Where encoded texts are kept.",
)
def train_head(
    folders: tuple[Path, ...],
    *,
    out: Path,
    name: str,
    dimensions: tuple[int, ...],
    half_life: int,
    keep: Path | None,
    seed: int,
    dp_epsilon: float | None,
    work: Path,
) -> None:
    """Train a head on the users of each DIR, with the noise of private profiles in the training.

    DIR has items.jsonl and interactions.csv. A part of the users is held out to decide when to
    stop, and to measure what people may expect at each epsilon. With --dp-epsilon nobody is held
    out and nothing is measured: all that leaves the training keeps to the budget, and privacy.json
    beside the space says which. Its noise comes from the system; --seed does not reach it.
    """
    from dataclasses import replace

    from ondevice.encoder.session import Encoder
    from ondevice.paths import bundled
    from server_tools.evaluate import data, vectors
    from server_tools.head import dp_head, interests_fit, learned, task
    from server_tools.head.trainer import HeadRecipe

    recipe = HeadRecipe(name=name, half_life=half_life, seed=seed)
    if dimensions:
        recipe = replace(recipe, dimensions=dimensions)
    if (out / "space.json").is_file() is False and out.exists() and any(out.iterdir()):
        raise ConfigError(
            f"{out} is there already and is not a head", hint="give a new folder to --out"
        )
    datasets = [data.load(folder) for folder in folders]
    ids, histories = joined(datasets)
    encoder = Encoder.load(bundled("encoder"))
    texts = [text for dataset in datasets for text in dataset.texts]

    def say(text: str) -> None:
        click.echo(text, err=True)

    rows = vectors.cached(
        encoder, texts, work, progress=lambda done, total: say(f"encoded {done} of {total}")
    )
    if dp_epsilon is not None:
        if keep is not None or len(dimensions) > 1:
            raise ConfigError("--dp-epsilon takes one --dimension and no --keep")
        private = dp_head.fit(
            ids,
            rows,
            histories,
            encoder=encoder.digest,
            epsilon=dp_epsilon,
            recipe=dp_head.recipe(name=name, half_life=half_life, dimensions=dimensions),
            say=say,
        )
        dp_head.write(private, out)
        say(f"{out}: {dp_head.told(private)}")
        return
    found = task.fit(
        ids,
        rows,
        histories,
        encoder=encoder.digest,
        texts=texts,
        recipe=recipe,
        keep=None if keep is None else learned.read(keep),
        say=say,
    )
    items = found.space.project(rows, found.residual)
    spoken = interests_fit.attach(found.space, items, found.bias, histories, say=say)
    found = replace(found, space=spoken)
    learned.write(found, out)
    dp_head.state(dp_head.PUBLIC, out)
    for row in found.space.quality:
        say(f"epsilon {row.epsilon:g}, {row.behaviours} behaviours: NDCG@10 {row.ndcg:.4f}")
    say(f"{out}: {found.space.dimension} dimensions, {len(ids)} items, {found.space.digest}")


def joined(datasets: "list[Dataset]") -> tuple[list[str], list[tuple[int, ...]]]:
    """Return the ids of all items and the histories over them, data set after data set.

    Raises:
        ConfigError: two items have the same id.
    """
    ids: list[str] = []
    histories: list[tuple[int, ...]] = []
    for dataset in datasets:
        start = len(ids)
        ids += [item.id for item in dataset.items]
        histories += [tuple(start + row for row in rows) for rows in dataset.users.values()]
    if len(set(ids)) != len(ids):
        raise ConfigError(
            "two items of these data sets have the same id",
            hint="train one head for each, or give the items ids of their own",
        )
    return ids, histories
