"""`ondevice-rec import`."""

from pathlib import Path

import click

from ondevice.cli.common import Output, common, table


@click.command(
    name="import",
    epilog="""\b
Examples:
  ondevice-rec import --list
  ondevice-rec import jsonl behaviours.jsonl --dry-run
  ondevice-rec import jsonl behaviours.jsonl
""",
)
@click.argument("source", required=False)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--catalogue", metavar="ID", help="The catalogue the behaviours belong to.")
@click.option("--dry-run", is_flag=True, help="Say what would be kept; record nothing.")
@click.option("--list", "list_sources", is_flag=True, help="List the sources that can be read.")
@common
def import_(
    *,
    source: str | None,
    path: Path | None,
    catalogue: str | None,
    dry_run: bool,
    list_sources: bool,
    out: Output,
) -> None:
    """Read behaviours of SOURCE from PATH. The file is only read, never changed."""
    from ondevice.service.behave import import_file, sources

    if list_sources:
        known = sources()
        if out.as_json:
            out.document({"sources": [{"name": n, "what": w} for n, w in known.items()]})
        else:
            table(list(known.items()))
        return
    if source is None or path is None:
        raise click.UsageError("name a source and a path, or use --list")
    with out.session() as session:
        counts = import_file(session, source, path, catalogue=catalogue, dry_run=dry_run)
    if out.as_json:
        out.document(counts.as_dict())
        return
    click.echo(counts.sentence())
    for note in counts.notes:
        out.note(note)
