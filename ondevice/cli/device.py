"""`ondevice-rec device`."""

import click

from ondevice.cli.common import Output, common
from ondevice.cli.device_key import key


@click.group(
    epilog="""\b
Examples:
  ondevice-rec device enrol
  ondevice-rec device show
  ondevice-rec device key --show
"""
)
def device() -> None:
    """This device's key, by which a publisher can let it in."""


device.add_command(key)


@device.command(epilog="\b\nExample:\n  ondevice-rec device enrol > my-hub.txt\n")
@common
def enrol(*, out: Output) -> None:
    """Print this device's public key, for a publisher to enrol.

    The publisher answers with an address and a root.json:
    `ondevice-rec catalogue add URL --root root.json`.
    """
    from ondevice.service.device import device as run

    with out.session() as session:
        shown = run(session)
    if out.as_json:
        out.document(shown.as_dict())
        return
    click.echo(shown.public_key)
    out.note("give this line to the publisher: it is no secret")


@device.command(epilog="\b\nExample:\n  ondevice-rec device show --json\n")
@common
def show(*, out: Output) -> None:
    """Show this device's public key and which catalogues it opens."""
    from ondevice.service.device import device as run

    with out.session() as session:
        shown = run(session)
    if out.as_json:
        out.document(shown.as_dict())
        return
    click.echo(f"public key  {shown.public_key}")
    click.echo(f"key id      {shown.key_id}")
    click.echo(f"catalogues  {', '.join(shown.catalogues) or 'none yet'}")
