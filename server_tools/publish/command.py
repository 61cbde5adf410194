"""`ondevice-server publish`, `invite` and `demo-bundle`."""

from pathlib import Path

import click

REPO = click.option(
    "--repo",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of static files; its secrets are in the folder DIR.keys beside it.",
)


@click.command()
@click.argument(
    "build",
    metavar="[DIR]",
    required=False,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
@REPO
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--timestamp-only", is_flag=True, help="Only sign that the newest is still newest.")
@click.option("--finish", is_flag=True, help="Publish what waited for signatures and has them now.")
def publish(
    build: Path | None, repo: Path, *, dry_run: bool, timestamp_only: bool, finish: bool
) -> None:
    """Make the build in DIR the newest version of its catalogue.

    Devices refuse a repository whose timestamp is older than 7 days: run it with --timestamp-only
    once a day. Where keys of targets are kept elsewhere, it prepares a file for them to sign, and
    --finish publishes what they signed.
    """
    from ondevice import clock
    from ondevice.privacy.randomness import SystemRandomness
    from server_tools.publish import members, repository

    if finish:
        if build is not None or dry_run or timestamp_only:
            raise click.UsageError("--finish takes no DIR and no other choice")
        roles = members.finish(repo, now=clock.now())
        click.echo(f"published what waited: {', '.join(roles)}", err=True)
        return
    if timestamp_only:
        if build is not None or dry_run:
            raise click.UsageError("--timestamp-only takes neither DIR nor --dry-run")
        signed = repository.refresh(repo, now=clock.now())
        click.echo(f"signed again: {', '.join(signed)}", err=True)
        return
    if build is None:
        raise click.UsageError("give the folder of a build, --timestamp-only or --finish")
    report = repository.publish(
        build, repo, now=clock.now(), randomness=SystemRandomness(), dry_run=dry_run
    )
    if not report.changed:
        click.echo(
            f"'{report.catalogue}' has not changed: version {report.version} stays", err=True
        )
        return
    verb = "would publish" if dry_run else "published"
    click.echo(f"{verb} '{report.catalogue}' version {report.version}", err=True)
    click.echo(f"new: {', '.join(report.sealed) or 'none'} ({report.size:,} bytes)", err=True)
    click.echo(f"unchanged: {', '.join(report.kept) or 'none'}", err=True)
    if report.note:
        click.echo(f"note: {report.note}", err=True)


@click.command()
@REPO
@click.option("--url", required=True, help="Where devices find DIR: https://…, or a folder.")
@click.option("--catalogue", "catalogues", multiple=True, help="Only this one; may be repeated.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="F.invite"
)
def invite(repo: Path, url: str, catalogues: tuple[str, ...], out: Path) -> None:
    """Write an invitation, with which a person joins: `ondevice-rec catalogue add F.invite`.

    It holds the group's key. Give it to members only, by a way that you trust.
    """
    from server_tools.publish import invite as invitations

    invitation = invitations.write(repo, url=url, out=out, catalogues=catalogues)
    click.echo(f"{out} invites to {invitation.url}; it is a secret, like a key", err=True)


@click.command("demo-bundle")
@click.option(
    "--check",
    is_flag=True,
    help="Only say whether a rebuilt bundle would be the same, by exit code.",
)
def demo_bundle(*, check: bool) -> None:
    """Build the sample catalogues that ship with the package, the same bytes every time."""
    from server_tools.publish import demo

    demo.main(check=check)
