"""`ondevice-rec why`."""

import click

from ondevice.cli.common import Output, bar, common, table

SHOWN = 10  # behaviours told one by one; --json has all of them


@click.command(
    epilog="""\b
Examples:
  ondevice-rec why film:stalker
  ondevice-rec why film:stalker --json
  ondevice-rec why film:stalker --view shared
"""
)
@click.argument("item")
@click.option("--catalogue", metavar="ID", help="Default: the catalogue that has the item.")
@click.option("--view", type=click.Choice(["owner", "shared"]), default="owner", show_default=True)
@common
def why(*, item: str, catalogue: str | None, view: str, out: Output) -> None:
    """Explain the score of ITEM, and what keeps it off the first page.

    The parts sum to the score. The owner's answer is for the owner's eyes only; `--view shared`
    explains from the private release alone.
    """
    from ondevice.service.recommend import why as run

    with out.session() as session:
        answer = run(session, item, catalogue=catalogue, view=view)
    parts = [{"kind": p.kind, "label": p.label, "share": p.share} for p in answer.parts]
    if out.as_json:
        out.document(
            {
                "catalogue": answer.catalogue,
                "id": answer.item.id,
                "title": answer.item.title,
                "score": answer.score,
                "parts": parts,
                "view": answer.view,
                "exact": answer.exact,
                "place": answer.place,
                "reasons": list(answer.reasons),
            }
        )
        return
    click.echo(f"{answer.item.title}: {answer.score:+.3f}")
    told = answer.brief(SHOWN)
    largest = max((abs(p.share) for p in told), default=0.0)
    table([(f"{p.share:+.3f}", bar(p.share, largest), p.label) for p in told], indent="  ")
    if answer.place is not None:
        click.echo(f"place {answer.place} of your list")
    for reason in answer.reasons:
        click.echo(("not in your list: " if answer.place is None else "why not higher: ") + reason)
    if answer.exact:
        out.note("exact: from your raw history, without noise; for your eyes only")
