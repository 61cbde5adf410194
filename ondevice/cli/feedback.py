"""`ondevice-rec feedback`."""

import click

from ondevice.cli.common import Output, common, table

VERDICTS = ["like", "less", "hide", "open", "dwell", "undo"]


@click.command(
    epilog="""\b
Examples:
  ondevice-rec feedback film:stalker like
  ondevice-rec feedback film:stalker undo
  ondevice-rec feedback film:stalker dwell --seconds 90
  ondevice-rec feedback --list
"""
)
@click.argument("item", required=False)
@click.argument("verdict", required=False, type=click.Choice(VERDICTS))
@click.option("--seconds", type=click.FloatRange(0, 86_400), help="With dwell: how long.")
@click.option("--catalogue", metavar="ID", help="Default: the catalogue that has the item.")
@click.option("--list", "list_all", is_flag=True, help="List what you said, and what is in force.")
@common
def feedback(
    *,
    item: str | None,
    verdict: str | None,
    seconds: float | None,
    catalogue: str | None,
    list_all: bool,
    out: Output,
) -> None:
    """Say what you think of ITEM. It acts on your very next list."""
    from ondevice.service.feedback import give, listed

    if list_all:
        with out.session() as session:
            said = listed(session)
        if out.as_json:
            out.document({"feedback": [entry.as_dict() for entry in said]})
            return
        table([(e.catalogue, e.item, e.state, e.title) for e in said])
        if not said:
            out.note("nothing said yet: try `ondevice-rec feedback ITEM like`")
        return
    if item is None or verdict is None:
        raise click.UsageError("name an item and a verdict, or use --list")
    if (verdict == "dwell") != (seconds is not None):
        raise click.UsageError("--seconds goes with dwell, and dwell needs --seconds")
    with out.session() as session:
        entry = give(session, item, verdict, catalogue=catalogue, seconds=seconds)
    if out.as_json:
        out.document(entry.as_dict())
        return
    click.echo(f"{entry.state}: {entry.title}")
