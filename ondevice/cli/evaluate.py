"""`ondevice-rec evaluate`."""

import click

from ondevice.cli.common import Output, common, table


@click.command(
    epilog="""\b
Examples:
  ondevice-rec evaluate
  ondevice-rec evaluate --catalogue shop --json
"""
)
@click.option("--catalogue", metavar="ID", help="Default: the one you use most.")
@common
def evaluate(*, catalogue: str | None, out: Output) -> None:
    """See how well lists find what you did next, on your own history, on this device.

    Each of your newest deeds is left out once; lists are made from what came before it. Nothing
    is written or released. For your eyes only: the figures come from raw history.
    """
    from ondevice.service.evaluate import evaluate as run

    with out.session() as session:
        found = run(session, catalogue=catalogue)
    if out.as_json:
        out.document(found.as_dict())
        return
    click.echo(
        f"{found.catalogue}: {found.held_out} of {found.behaviours} deeds left out once, "
        f"{found.candidates} candidates"
    )
    rows: list[tuple[str, ...]] = [("", "ndcg@10", "hr@10")]
    for row in found.rows:
        noise = f" (epsilon {row.epsilon:g})" if row.epsilon is not None else ""
        rows.append((row.name + noise, f"{row.ndcg:.3f}", f"{row.hr:.3f}"))
    table(rows, indent="  ")
    out.note("for your eyes only: few deeds make rough figures")
