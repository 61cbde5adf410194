"""`ondevice-rec history`."""

import click

from ondevice.cli.common import Output, common, table


@click.command(
    epilog="""\b
Examples:
  ondevice-rec history -n 5
  ondevice-rec history --day 2026-01-31 --kind like
  ondevice-rec history --source jsonl --page 2
  ondevice-rec history --text lamp
"""
)
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True)
@click.option("--page", type=click.IntRange(1, 1_000_000), default=1, show_default=True)
@click.option("--day", metavar="D", help="Of one day (UTC).")
@click.option("--source", metavar="S", help="From one source.")
@click.option("--kind", metavar="KIND", help="Of one kind.")
@click.option("--text", metavar="WORDS", help="With these letters in its text.")
@common
def history(
    *,
    limit: int,
    page: int,
    day: str | None,
    source: str | None,
    kind: str | None,
    text: str | None,
    out: Output,
) -> None:
    """List what is recorded on this device, newest first."""
    from ondevice.service.history import history as run
    from ondevice.service.history import wanted

    chosen = wanted(day=day, source=source, kind=kind, text=text)
    with out.session() as session:
        shown = run(session, limit, page=page, chosen=chosen)
    if out.as_json:
        out.document(shown.as_dict())
        return
    table([(str(b.id), f"{b.at:%Y-%m-%d %H:%M}", b.kind.value, b.text) for b in shown.behaviours])
    if shown.matching > shown.last:
        count = f"{len(shown.behaviours)} of {shown.matching} shown"
        out.note(f"{count}: --page {page + 1} goes on, -n for more")
    if not shown.total:
        out.note('nothing recorded yet: try `ondevice-rec log "what you did"`')
    elif not shown.behaviours:
        out.note("nothing recorded matches")
