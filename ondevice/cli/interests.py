"""`ondevice-rec interests`."""

import click

from ondevice.cli.common import Output, bar, common, table

FIELDS = click.Choice(["category", "tag", "source", "series"])


class _Showing(click.Group):
    """Without a command it shows."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in where there is none."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_Showing,
    epilog="""\b
Examples:
  ondevice-rec interests
  ondevice-rec interests pick "science fiction" gardening
  ondevice-rec interests mute horror
  ondevice-rec interests unmute horror
""",
)
def interests() -> None:
    """Show what your lists start from; pick, drop, mute and unmute.

    What you pick or mute acts on your own view. The shared view learns a pick as it learns all
    you do, behind the noise, and never a mute: write `deny` in config.toml for everybody.
    """


@interests.command(epilog="\b\nExample:\n  ondevice-rec interests show --catalogue shop\n")
@click.option("--catalogue", metavar="ID", help="Default: the one you use most.")
@common
def show(*, catalogue: str | None, out: Output) -> None:
    """Show what is picked and muted, and what the private profile leans to."""
    from ondevice.service.interests import interests as run

    with out.session() as session:
        found = run(session, catalogue=catalogue)
    if out.as_json:
        out.document(found.as_dict())
        return
    for name in found.picked:
        click.echo(f"picked  {name}")
    for name in found.public:
        click.echo(f"set     {name}")
    for one in found.muted:
        click.echo(f"muted   {one}")
    click.echo(f"what the private profile leans to, after {found.steps} steps:")
    largest = max((abs(topic.lean) for topic in found.topics), default=0.0)
    table([(t.name, f"{t.lean:+.3f}", bar(t.lean, largest)) for t in found.topics], indent="  ")
    for line in found.sentences():
        click.echo(line)
    if not found.picked:
        out.note("pick a few to start from: ondevice-rec interests pick TOPIC…")


@interests.command(epilog='\b\nExample:\n  ondevice-rec interests pick "science fiction" jazz\n')
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC…")
@click.option("--catalogue", metavar="ID", help="Whose topics; default: the one you use most.")
@common
def pick(*, topics: tuple[str, ...], catalogue: str | None, out: Output) -> None:
    """Start from TOPICs: categories of a catalogue, or any words."""
    from ondevice.service.interests import pick as run

    with out.session() as session:
        _said("picked", run(session, topics, catalogue=catalogue), out)


@interests.command(epilog="\b\nExample:\n  ondevice-rec interests drop jazz\n")
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC…")
@common
def drop(*, topics: tuple[str, ...], out: Output) -> None:
    """Take picked TOPICs back."""
    from ondevice.service.interests import drop as run

    with out.session() as session:
        _said("dropped", run(session, topics), out)


@interests.command(
    epilog="""\b
Examples:
  ondevice-rec interests mute horror
  ondevice-rec interests mute film:stalker --field series
"""
)
@click.argument("name")
@click.option("--field", type=FIELDS, help="What NAME is, or what of the item NAME is meant.")
@click.option("--catalogue", metavar="ID", help="Default: the catalogue that has the item.")
@common
def mute(*, name: str, field: str | None, catalogue: str | None, out: Output) -> None:
    """Keep NAME off your lists: a category (or tag, source, series), or that of an item."""
    from ondevice.service.interests import mute as run

    with out.session() as session:
        _said("muted", [str(run(session, name, field=field, catalogue=catalogue))], out)


@interests.command(epilog="\b\nExample:\n  ondevice-rec interests unmute horror\n")
@click.argument("name")
@click.option("--field", type=FIELDS, help="Which, where several have this name.")
@common
def unmute(*, name: str, field: str | None, out: Output) -> None:
    """Show NAME again."""
    from ondevice.service.interests import unmute as run

    with out.session() as session:
        _said("unmuted", [str(run(session, name, field=field))], out)


def _said(verb: str, names: list[str], out: Output) -> None:
    if out.as_json:
        out.document({verb: names})
        return
    for name in names:
        click.echo(f"{verb}: {name}")
    if not names:
        out.note("nothing changed")
