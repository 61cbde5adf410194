"""`ondevice-rec catalogue`."""

from pathlib import Path

import click

from ondevice.cli.common import Output, common, table
from ondevice.service.catalogues import Entry


@click.group(
    epilog="""\b
Examples:
  ondevice-rec catalogue list
  ondevice-rec catalogue add club.invite
"""
)
def catalogue() -> None:
    """Catalogues on this device."""


@catalogue.command("list", epilog="\b\nExample:\n  ondevice-rec catalogue list --json\n")
@common
def list_(*, out: Output) -> None:
    """List the catalogues, their age and where they come from."""
    from ondevice.service.catalogues import listed

    with out.session() as session:
        shown = listed(session)
    if out.as_json:
        out.document({"catalogues": [entry.as_dict() for entry in shown]})
        return
    table([(e.id, e.scenario, f"{e.items} items", e.state, e.title) for e in shown])


@catalogue.command(
    epilog="""\b
Examples:
  ondevice-rec catalogue add club.invite
  ondevice-rec catalogue add https://example.org/club --root root.json
"""
)
@click.argument("where")
@click.option(
    "--root",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The publisher's root.json, where this device is enrolled (device enrol).",
)
@common
def add(*, where: str, root: Path | None, out: Output) -> None:
    """Join a publisher and install what it offers.

    WHERE is an invite file; or, with --root, the address or folder of a publisher that has
    enrolled this device.
    """
    from ondevice.service import catalogues

    with out.session() as session:
        if root is None:
            added = catalogues.add(session, Path(where))
        else:
            added = catalogues.join(session, where, root)
    _say(added, out)


@catalogue.command(epilog="\b\nExample:\n  ondevice-rec catalogue update\n")
@click.argument("ids", nargs=-1)
@common
def update(*, ids: tuple[str, ...], out: Output) -> None:
    """Fetch newer versions of IDS, or of every catalogue."""
    from ondevice.service.catalogues import update as run

    with out.session() as session:
        updated = run(session, ids)
    if not updated:
        out.note("nothing to update: the samples never change")
    _say(updated, out)


@catalogue.command(epilog="\b\nExample:\n  ondevice-rec catalogue remove club-films\n")
@click.argument("id_", metavar="ID")
@common
def remove(*, id_: str, out: Output) -> None:
    """Remove catalogue ID from this device. What you did with it stays in your history."""
    from ondevice.service.catalogues import remove as run

    with out.session() as session:
        run(session, id_)
    if out.as_json:
        out.document({"removed": id_})
    else:
        click.echo(f"removed {id_}")


@catalogue.command(epilog="\b\nExample:\n  ondevice-rec catalogue verify\n")
@common
def verify(*, out: Output) -> None:
    """Check every byte of every installed catalogue against its signatures."""
    from ondevice.service.catalogues import verify as run

    with out.session() as session:
        shown = run(session)
    _say(shown, out)


def _say(entries: list[Entry], out: Output) -> None:
    if out.as_json:
        out.document({"catalogues": [entry.as_dict() for entry in entries]})
        return
    for entry in entries:
        click.echo(f"{entry.id} version {entry.version}: {entry.items} items, {entry.state}")
