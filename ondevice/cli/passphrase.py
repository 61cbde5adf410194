"""`ondevice-rec passphrase`."""

import sys
from pathlib import Path

import click

from ondevice.cli.common import Output, common


def _read_new(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Read the file while options are parsed: afterwards this process is locked."""
    from ondevice.store import unlock

    if value is None:
        return None
    if value == "-":
        return unlock.first_line(sys.stdin.buffer.read(1 << 16), "standard input")
    return unlock.read_secret(Path(value).expanduser())


@click.group(
    epilog="""\b
Examples:
  ondevice-rec passphrase set
  ondevice-rec passphrase set --file new-passphrase.txt
  ondevice-rec passphrase remove
"""
)
def passphrase() -> None:
    """Protect your data with a passphrase that is mixed into its key."""


@passphrase.command(
    name="set",
    epilog="""\b
Examples:
  ondevice-rec passphrase set
  ondevice-rec passphrase set --file new-passphrase.txt
  printf '%s' "$NEW" | ondevice-rec passphrase set --file -
""",
)
@click.option(
    "--file",
    "new",
    metavar="FILE",
    callback=_read_new,
    help="Read the new one from a file that only you can read, or from - (standard input).",
)
@common
def set_(*, new: str | None, out: Output) -> None:
    """Set or change it. Where one is set already, that one is asked for first.

    Scripts give the one that is set in a file named by ONDEVICE_PASSPHRASE_FILE, or in
    ONDEVICE_PASSPHRASE.
    """
    from ondevice.service import passphrase as run

    with out.session() as session:
        session.store.behaviours.count()  # asks for the old one
        protection = run.set_passphrase(session, new or _ask_new())
    _tell(protection.as_dict(), protection.sentences, out)


@passphrase.command(epilog="\b\nExample:\n  ondevice-rec passphrase remove\n")
@common
def remove(*, out: Output) -> None:
    """Take the passphrase out of the key. It is asked for first."""
    from ondevice.service import passphrase as run

    with out.session() as session:
        protection = run.remove_passphrase(session)
    _tell(protection.as_dict(), protection.sentences, out)


def _ask_new() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("name a file with the new passphrase: --file FILE, or --file -")
    new: str = click.prompt(
        "New passphrase", hide_input=True, confirmation_prompt=True, err=True, show_default=False
    )
    return new


def _tell(document: dict[str, object], sentences: tuple[str, ...], out: Output) -> None:
    if out.as_json:
        out.document(document)
        return
    for line in sentences:
        click.echo(line)
