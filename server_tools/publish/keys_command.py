"""`ondevice-server keys` and `devices`."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from server_tools.publish.command import REPO

_THRESHOLD = 2  # parts of M/N


@click.group()
def keys() -> None:
    """Make and look after the publisher's keys."""


@keys.command("init")
@REPO
@click.option(
    "--threshold",
    metavar="M/N",
    default="1/1",
    show_default=True,
    help="How many of how many keys must sign for root and targets.",
)
def keys_init(repo: Path, threshold: str) -> None:
    """Make keys and an empty signed repository in DIR.

    The secrets go to the folder DIR.keys beside it: never serve that one, and keep a copy of it.
    With several keys for root and targets, give each to another person or machine: what they
    must sign waits in DIR.keys/pending.
    """
    from ondevice import clock
    from ondevice.privacy.randomness import SystemRandomness
    from server_tools.publish import keys as secrets

    numbers = threshold.split("/")
    if len(numbers) != _THRESHOLD or not all(number.isdecimal() for number in numbers):
        raise click.BadParameter("write M/N, as in 2/3", param_hint="--threshold")
    needed, of = map(int, numbers)
    folder = secrets.init(
        repo,
        now=clock.now(),
        randomness=SystemRandomness(),
        threshold=secrets.Threshold(needed=needed, of=of),
    )
    click.echo(f"serve {repo}", err=True)
    click.echo(f"never serve {folder}, and keep a copy of it", err=True)
    if of > 1:
        click.echo(f"keep root-*.key and targets-*.key apart: {needed} of {of} sign", err=True)


@keys.command("rotate")
@click.argument("role", type=click.Choice(("root", "targets", "snapshot", "timestamp", "group")))
@REPO
def keys_rotate(role: str, repo: Path) -> None:
    """Replace the keys of ROLE, and sign again what they had signed.

    Devices follow by themselves. For `group` every catalogue gets a new key and a new version,
    which older invitations can't read: invite the members again.
    """
    from server_tools.publish import members

    members.rotate(repo, role, **_now())
    click.echo(f"{role} has new keys", err=True)
    if role == members.GROUP:
        click.echo("invite everybody again: ondevice-server invite --repo DIR …", err=True)


@keys.command("renew")
@REPO
def keys_renew(repo: Path) -> None:
    """Sign the root again, for another year."""
    from ondevice import clock
    from server_tools.publish import members

    version = members.renew(repo, now=clock.now())
    click.echo(f"root {version} is signed", err=True)


@keys.command("sign")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--key",
    "key_files",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A private key; may be repeated.",
)
def keys_sign(file: Path, key_files: tuple[Path, ...]) -> None:
    """Sign FILE, which waits for signatures, where the keys are. It says what you sign."""
    from server_tools.publish import signing

    metadata = signing.add_signatures(file, list(key_files))
    for line in signing.described(metadata):
        click.echo(line, err=True)


@click.group()
def devices() -> None:
    """Single devices that may read, beside those that were invited."""


@devices.command("add")
@click.argument("name")
@click.argument("key")
@REPO
@click.option("--catalogue", "catalogues", multiple=True, help="Only this one; may be repeated.")
def devices_add(name: str, key: str, repo: Path, catalogues: tuple[str, ...]) -> None:
    """Let the device NAME read; KEY is what its `ondevice-rec device enrol` printed.

    Give it the address and metadata/1.root.json: `ondevice-rec catalogue add URL --root FILE`.
    """
    from server_tools.publish import members
    from server_tools.publish.devices import Device

    device = Device(name=name, public=key.strip().lower(), catalogues=tuple(sorted(catalogues)))
    members.enrol(repo, device, **_now())
    click.echo(f"'{name}' may read {', '.join(catalogues) or 'every catalogue'}", err=True)


@devices.command("list")
@REPO
def devices_list(repo: Path) -> None:
    """List the devices that may read: name, key, catalogues."""
    from server_tools.publish import devices as enrolled

    for device in enrolled.read(repo).values():
        click.echo(f"{device.name}  {device.public}  {', '.join(device.catalogues) or 'all'}")


@devices.command("revoke")
@click.argument("name")
@REPO
def devices_revoke(name: str, repo: Path) -> None:
    """Publish new versions that the device NAME can't read. What it has, it keeps."""
    from server_tools.publish import members

    versions = members.revoke(repo, name, **_now())
    for catalogue, version in versions.items():
        click.echo(f"'{catalogue}' version {version}: '{name}' can't read it", err=True)
    click.echo("it keeps the versions it has; if it also has an invite file, run:", err=True)
    click.echo("ondevice-server keys rotate group --repo DIR", err=True)


def _now() -> dict[str, Any]:
    from ondevice import clock
    from ondevice.privacy.randomness import SystemRandomness

    now: datetime = clock.now()
    return {"now": now, "randomness": SystemRandomness()}
