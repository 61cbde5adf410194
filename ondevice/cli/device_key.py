"""`ondevice-rec device key`: the store's key, for an auditor's own tools."""

import click

from ondevice.cli.common import Output, common, typed


@click.command(
    epilog="""\b
Examples:
  ondevice-rec device key --show
  python verify_store.py ~/.local/share/ondevice-rec/store.db   # asks for this key
"""
)
@click.option(
    "--show",
    is_flag=True,
    required=True,
    expose_value=False,
    help="Show it: there is nothing else to do.",
)
@click.option("--confirm", metavar="WORDS", help="The words that are asked for otherwise.")
@common
def key(*, confirm: str | None, out: Output) -> None:
    """Show the key of your store, so that you can check the file without this program.

    Whoever knows it can read everything you recorded. It changes with each forget.
    """
    from ondevice.service import passphrase as run

    with out.session() as session:
        shown = run.store_key(session, typed(run.SHOW, confirm))
    if out.as_json:
        out.document({"key": shown, "file": str(out.home / "store.db"), "format": "SQLCipher 4"})
    else:
        click.echo(shown)
    out.note("it changes with each forget; forget something if somebody saw it")
