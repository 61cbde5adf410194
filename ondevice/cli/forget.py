"""`ondevice-rec forget`."""

import sys

import click

from ondevice.cli.common import Output, common


@click.command(
    epilog="""\b
Examples:
  ondevice-rec forget --id 17
  ondevice-rec forget --day 2026-01-31 --dry-run
  ondevice-rec forget --source jsonl
  ondevice-rec forget --before 2025-01-01
  ondevice-rec forget --all
"""
)
@click.option("--id", "number", type=int, metavar="ID", help="One behaviour, by its number.")
@click.option("--day", metavar="D", help="A whole day (UTC).")
@click.option("--source", metavar="S", help="Everything from one source.")
@click.option("--before", metavar="T", help="Everything before a time (UTC unless it says so).")
@click.option("--all", "everything", is_flag=True, help="Everything.")
@click.option("--dry-run", is_flag=True, help="Say what would be forgotten; change nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask on a terminal.")
@common
def forget(
    *,
    number: int | None,
    day: str | None,
    source: str | None,
    before: str | None,
    everything: bool,
    dry_run: bool,
    yes: bool,
    out: Output,
) -> None:
    """Forget behaviours for good, and print a receipt of what is gone.

    Their words, times and vectors are deleted and the store gets a new key. What was released
    before stays released: the receipt says how much that still weighs.
    """
    from ondevice.service import forget as run

    wanted = run.selection(id=number, day=day, source=source, before=before, all=everything)
    with out.session() as session:
        seen = run.preview(session, wanted)
        if dry_run:
            if out.as_json:
                out.document({"would_forget": seen.as_dict()})
            else:
                click.echo(f"would forget: {seen.sentence()}")
            return
        if sys.stdin.isatty() and not yes and not out.as_json:
            click.confirm(f"forget {seen.sentence()}, for good?", abort=True, err=True)
        receipt = run.forget(session, wanted)
    if out.as_json:
        out.document(receipt.as_dict())
        return
    for line in receipt.sentences():
        click.echo(line)
