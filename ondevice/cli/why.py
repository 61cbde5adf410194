"""`ondevice-rec why`."""

import click

from ondevice.cli.common import Output, bar, common, table

SHOWN = 10  # behaviours told one by one; --json has all of them


@click.command(
    epilog="""\b
Examples:
  ondevice-rec why film:stalker
  ondevice-rec why film:stalker --json
"""
)
@click.argument("item")
@click.option("--catalogue", metavar="ID", help="Default: the catalogue that has the item.")
@common
def why(*, item: str, catalogue: str | None, out: Output) -> None:
    """Explain the score of ITEM. The parts sum to the score. For the owner's eyes only."""
    from ondevice.service.recommend import why as run

    with out.session() as session:
        answer = run(session, item, catalogue=catalogue)
    parts = [{"kind": p.kind, "label": p.label, "share": p.share} for p in answer.parts]
    if out.as_json:
        out.document(
            {
                "catalogue": answer.catalogue,
                "id": answer.item.id,
                "title": answer.item.title,
                "score": answer.score,
                "parts": parts,
            }
        )
        return
    click.echo(f"{answer.item.title}: {answer.score:+.3f}")
    told = answer.brief(SHOWN)
    largest = max((abs(p.share) for p in told), default=0.0)
    table([(f"{p.share:+.3f}", bar(p.share, largest), p.label) for p in told], indent="  ")
