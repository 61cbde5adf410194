"""`ondevice-rec profile`."""

import sys
from typing import TYPE_CHECKING

import click

from ondevice.cli.common import Output, bar, common, table

if TYPE_CHECKING:
    from ondevice.service.life import Rebuild


@click.group(
    epilog="""\b
Examples:
  ondevice-rec profile show
  ondevice-rec profile show --catalogue shop
  ondevice-rec profile restart
  ondevice-rec profile rebuild
"""
)
def profile() -> None:
    """Look at the private profile, as others could see it; begin anew, or feed it again."""


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
    for line in shown.sentences():
        click.echo(line)
    largest = max((abs(topic.lean) for topic in shown.topics), default=0.0)
    table([(t.name, f"{t.lean:+.3f}", bar(t.lean, largest)) for t in shown.topics], indent="  ")


@profile.command(
    epilog="""\b
Examples:
  ondevice-rec profile restart
  ondevice-rec profile restart --empty
"""
)
@click.option("--catalogue", metavar="ID", help="Only the profile behind this catalogue.")
@click.option("--empty", is_flag=True, help="Don't carry over what was released before.")
@common
def restart(*, catalogue: str | None, empty: bool, out: Output) -> None:
    """Begin a new stream. Nothing that you did is charged twice.

    What was released stays released. It goes on in the new profile and fades, unless --empty.
    """
    from ondevice.service.life import restart as run

    with out.session() as session:
        done = run(session, catalogue=catalogue, keep=not empty)
    if out.as_json:
        out.document(done.as_dict())
        return
    click.echo(done.sentence())


@profile.command(
    epilog="""\b
Examples:
  ondevice-rec profile rebuild
  ondevice-rec profile rebuild --catalogue shop --yes
"""
)
@click.option("--catalogue", metavar="ID", help="Default: the one you use most.")
@click.option("--yes", is_flag=True, help="Agree to the cost without being asked.")
@common
def rebuild(*, catalogue: str | None, yes: bool, out: Output) -> None:
    """Feed what you did to the profile once more, and pay for it once more.

    Says first what each thing will have cost. Useful after the words or weights changed.
    """
    from ondevice.service.life import prepare

    with out.session() as session:
        found = prepare(session, catalogue=catalogue)
        _agree(found.plan, yes=yes)
        done = found.agree()
    if out.as_json:
        out.document(done.as_dict())
        return
    click.echo(f"{done.behaviours} entered again; now epsilon {done.epsilon_after:.3g}")


def _agree(plan: "Rebuild", *, yes: bool) -> None:
    for line in plan.sentences():
        click.echo(line, err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("agree to this with --yes: there is no terminal to ask on")
    if click.prompt("Type rebuild to agree", default="", show_default=False, err=True) != "rebuild":
        raise click.UsageError("not agreed: nothing was released")
