"""`ondevice-rec recommend`."""

import click

from ondevice.cli.common import Output, common
from ondevice.cli.render import items_as_json, list_lines, privacy_as_json


@click.command(
    epilog="""\b
Examples:
  ondevice-rec recommend -n 5
  ondevice-rec recommend --catalogue shop --page 2
  ondevice-rec recommend --view shared --json
  ondevice-rec recommend --exact
"""
)
@click.option("-n", "--limit", type=click.IntRange(1, 100), default=10, show_default=True)
@click.option("--catalogue", metavar="ID", help="Default: the one you use most.")
@click.option("--page", type=click.IntRange(1, 1000), default=1, show_default=True)
@click.option("--view", type=click.Choice(["owner", "shared"]), default="owner", show_default=True)
@click.option(
    "--exact/--private",
    "exact",
    default=None,
    help="From your raw history, without noise, or from the private profile (default: config).",
)
@common
def recommend(
    *, limit: int, catalogue: str | None, page: int, view: str, exact: bool | None, out: Output
) -> None:
    """Rank a catalogue for you, on this device.

    `owner` leaves out what you have seen or hidden. `shared` is what a household may see:
    it is computed from the private release alone, and starts with the first catalogue.
    """
    from ondevice.service.recommend import recommend as run

    with out.session() as session:
        shown = run(session, catalogue=catalogue, limit=limit, page=page, view=view, exact=exact)
    if out.as_json:
        out.document(
            {
                "view": shown.view,
                "catalogue": shown.catalogue,
                "items": items_as_json(shown.items),
                "privacy": privacy_as_json(shown.privacy),
                **({"exact": True} if shown.exact else {}),
            }
        )
        return
    for line in list_lines(shown.items):
        click.echo(line)
    for note in shown.notes:
        out.note(note)
