"""`ondevice-server build` and `preview`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondevice.domain import Scenario
from ondevice.errors import NotReadyError

if TYPE_CHECKING:
    from ondevice.encoder.session import Encoder
    from ondevice.formats.space import Space
    from server_tools.embed.groups import Engine


@click.command()
@click.option(
    "--source",
    required=True,
    help="Path or address of a .jsonl, .jsonl.gz, .csv or .parquet file; or apt:.",
)
@click.option("--id", "catalogue", required=True, help="Lower-case letters, digits, hyphens.")
@click.option("--scenario", required=True, type=click.Choice([s.value for s in Scenario]))
@click.option("--title", default="", help="Shown to people; the id by default.")
@click.option("--notice", default="", help="Words shown with the catalogue.")
@click.option("--licence", default="", help="Licence of the records.")
@click.option(
    "--space",
    "space_folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The space; the base space that every device has by default.",
)
@click.option(
    "--residuals",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of train-head: its space, and what it learned of each item.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the build.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--workers", type=click.IntRange(1), help="Of the Ray engine; one a CPU by default.")
@click.option("--ray-address", default="", help="Of a cluster; one is started here by default.")
def build(
    source: str,
    catalogue: str,
    scenario: str,
    title: str,
    notice: str,
    licence: str,
    space_folder: Path | None,
    residuals: Path | None,
    out: Path,
    engine: str,
    workers: int | None,
    ray_address: str,
) -> None:
    """Embed a catalogue: items of SOURCE become shards and a manifest in OUT.

    A build that was stopped goes on where it was. The same input gives the same bytes.
    """
    from ondevice.encoder.session import Encoder
    from ondevice.paths import bundled
    from server_tools import sources
    from server_tools.embed import local
    from server_tools.embed.progress import Bar
    from server_tools.head import learned

    head = None if residuals is None else learned.read(residuals)
    into, travels = _space(space_folder or residuals)
    with Bar("embed", stream=sys.stderr) as bar:
        built = local.build(
            sources.Source(source),
            encoder=Encoder.load(bundled("encoder")),
            into=into,
            details=local.Details(
                catalogue=catalogue,
                scenario=Scenario(scenario),
                title=title or catalogue,
                notice=notice,
                licence=licence,
            ),
            out=out,
            space_travels=travels,
            progress=bar.show,
            engine=_engine(engine, workers, ray_address),
            head=head,
        )
    size = sum(entry.size for entry in built.shards)
    click.echo(
        f"{built.items} items, {len(built.shards)} shards, {size:,} bytes in {out}", err=True
    )


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True))
@click.argument("text")
@click.option("-n", "--limit", type=click.IntRange(1, 100), default=10, show_default=True)
def preview(folder: Path, text: str, limit: int) -> None:
    """Rank the items of the build in DIR by how near they are to TEXT."""
    import numpy as np

    from ondevice.encoder.session import Encoder
    from ondevice.formats import space
    from ondevice.paths import bundled
    from server_tools.embed import local

    catalogue = local.load(folder, lambda: space.read(bundled("space")))
    query = catalogue.space.project(Encoder.load(bundled("encoder")).encode([text]))[0]
    cosines = catalogue.unit() @ query
    for row in np.argsort(-cosines, kind="stable")[:limit]:
        item = catalogue.records[int(row)]
        click.echo(f"{cosines[row]:6.3f}  {item.title}  [{item.category}]")


def _engine(name: str, workers: int | None, address: str) -> "Engine | None":
    if name == "local":
        return None
    from server_tools.embed import ray_data

    cpus = ray_data.connect(address)
    return ray_data.Ray(make=_encoder, workers=workers or max(1, cpus))


def _encoder() -> "Encoder":
    from ondevice.encoder.session import Encoder
    from ondevice.paths import bundled

    return Encoder.load(bundled("encoder"))


def _space(folder: Path | None) -> "tuple[Space, bool]":
    """Return the space to build in, and whether it travels: devices have the base space."""
    from ondevice.formats import space
    from ondevice.paths import bundled

    if folder is None:
        return space.read(bundled("space")), False
    given = space.read(folder)
    try:
        return given, space.read(bundled("space")).digest != given.digest
    except NotReadyError:
        return given, True
