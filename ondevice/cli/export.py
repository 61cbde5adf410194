"""`ondevice-rec export`."""

from pathlib import Path

import click

from ondevice.cli.common import Output, common


@click.command(
    epilog="""\b
Examples:
  ondevice-rec export backup
  ondevice-rec import export backup --home elsewhere
  ondevice-rec export for-the-family --shared
"""
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--shared", is_flag=True, help="Only what others may see: the shared lists.")
@common
def export(*, folder: Path, shared: bool, out: Output) -> None:
    """Write everything that is kept into the new folder DIR, as JSON lines and CSV."""
    from ondevice.service import export as run

    with out.session() as session:
        write = run.export_shared if shared else run.export
        written = write(session, folder.expanduser())
    if out.as_json:
        out.document(written.as_dict())
    else:
        click.echo(written.sentence(shared=shared))
