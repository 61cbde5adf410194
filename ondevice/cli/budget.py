"""`ondevice-rec budget`."""

import click

from ondevice.cli.common import Output, common, table


@click.command(epilog="\b\nExample:\n  ondevice-rec budget --json\n")
@common
def budget(*, out: Output) -> None:
    """Say what the guarantee is, for the whole life of the profile."""
    from ondevice.service.private import budget as run

    with out.session() as session:
        shown = run(session)
    if out.as_json:
        out.document(shown.as_dict())
        return
    for line in shown.sentences():
        click.echo(line)
    table(
        [
            (s.space[:12], s.name, f"{s.rows} rows", f"epsilon {s.epsilon:.3g}", f"rho {s.rho:.5f}")
            for s in shown.streams
        ],
        indent="  ",
    )
