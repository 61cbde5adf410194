"""`ondevice-rec erase`."""

import click

from ondevice.cli.common import Output, common, typed


@click.command(
    epilog="""\b
Examples:
  ondevice-rec erase
  ondevice-rec export backup && ondevice-rec erase --confirm "erase everything"
"""
)
@click.option("--confirm", metavar="WORDS", help="The words that are asked for otherwise.")
@common
def erase(*, confirm: str | None, out: Output) -> None:
    """Delete everything of yours on this device; one number stays, which says what was released."""
    from ondevice.service import erase as run

    with out.session() as session:
        receipt = run.erase(session, typed(run.WORDS, confirm))
    if out.as_json:
        out.document(receipt.as_dict())
        return
    for line in receipt.sentences():
        click.echo(line)
