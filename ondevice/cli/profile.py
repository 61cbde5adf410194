"""`ondevice-rec profile`."""

import click

from ondevice.cli.common import Output, bar, common, table


@click.group(
    epilog="""\b
Examples:
  ondevice-rec profile show
  ondevice-rec profile show --catalogue shop
"""
)
def profile() -> None:
    """Look at the private profile, as others could see it."""


@profile.command(epilog="\b\nExample:\n  ondevice-rec profile show --catalogue shop\n")
@click.option("--catalogue", metavar="ID", help="Default: the one you use most.")
@common
def show(*, catalogue: str | None, out: Output) -> None:
    """Show which topics the released profile leans to, and how much of it is noise."""
    from ondevice.service.private import profile as run

    with out.session() as session:
        shown = run(session, catalogue=catalogue)
    if out.as_json:
        out.document(shown.as_dict())
        return
    click.echo(f"{shown.steps} steps, of which the profile remembers about {shown.remembered:.0f}")
    click.echo(f"noise: {shown.noise_std:.2f} per coordinate, in behaviours")
    largest = max((abs(topic.lean) for topic in shown.topics), default=0.0)
    table([(t.name, f"{t.lean:+.3f}", bar(t.lean, largest)) for t in shown.topics], indent="  ")
