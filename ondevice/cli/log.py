"""`ondevice-rec log`."""

import sys

import click

from ondevice.cli.common import Output, common
from ondevice.domain import Kind


@click.command(
    epilog="""\b
Examples:
  ondevice-rec log "bread baking for beginners" --kind search
  ondevice-rec log "Stalker" --kind like --item film:stalker
  ondevice-rec log - < behaviours.jsonl
"""
)
@click.argument("text")
@click.option(
    "--kind", type=click.Choice([k.value for k in Kind]), default="view", show_default=True
)
@click.option("--item", metavar="ID", help="The catalogue item it was about.")
@click.option("--catalogue", metavar="ID", help="The catalogue it belongs to.")
@click.option("--at", metavar="TIME", help="ISO 8601 time; default: now.")
@common
def log(
    *, text: str, kind: str, item: str | None, catalogue: str | None, at: str | None, out: Output
) -> None:
    """Record something you did. `-` reads JSON lines with text, kind, item and at.

    E-mail addresses, phone, card and account numbers are masked before anything is stored.
    """
    from ondevice.service.behave import log_lines, log_one

    with out.session() as session:
        if text == "-":
            counts = log_lines(session, sys.stdin.buffer, catalogue=catalogue)
        else:
            counts = log_one(session, text, kind=Kind(kind), item=item, catalogue=catalogue, at=at)
    if out.as_json:
        out.document(counts.as_dict())
        return
    click.echo(counts.sentence())
    for note in counts.notes:
        out.note(note)
