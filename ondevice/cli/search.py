"""`ondevice-rec search`."""

import click

from ondevice.cli.common import Output, common
from ondevice.cli.render import items_as_json


@click.command(
    epilog="""\b
Examples:
  ondevice-rec search "quiet film about the sea"
  ondevice-rec search "energy monitoring" --catalogue smart-home -n 5
"""
)
@click.argument("text", nargs=-1, required=True)
@click.option("-n", "--limit", type=click.IntRange(1, 100), default=10, show_default=True)
@click.option("--catalogue", metavar="ID", help="Default: the one you use most.")
@common
def search(*, text: tuple[str, ...], limit: int, catalogue: str | None, out: Output) -> None:
    """Find items by meaning. Nothing is recorded and nothing leaves the device."""
    from ondevice.service.recommend import search as run

    with out.session() as session:
        found = run(session, " ".join(text), catalogue=catalogue, limit=limit)
    if out.as_json:
        out.document({"catalogue": found.catalogue, "items": items_as_json(found.items)})
        return
    for shown in found.items:
        click.echo(f"{shown.rank:>3} {shown.score:6.3f}  {shown.item.title}  [{shown.item.id}]")
