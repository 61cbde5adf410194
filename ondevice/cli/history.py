"""`ondevice-rec history`."""

import click

from ondevice.cli.common import Output, common, table


@click.command(epilog="\b\nExample:\n  ondevice-rec history -n 5\n")
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True)
@common
def history(*, limit: int, out: Output) -> None:
    """List what is recorded on this device, newest first."""
    from ondevice.service.behave import history as run

    with out.session() as session:
        shown = run(session, limit)
    if out.as_json:
        out.document(
            {
                "total": shown.total,
                "behaviours": [
                    {
                        "id": b.id,
                        "at": b.at.isoformat(),
                        "kind": b.kind.value,
                        "text": b.text,
                        "item": b.item,
                        "catalogue": b.catalogue,
                        "source": b.source,
                    }
                    for b in shown.behaviours
                ],
            }
        )
        return
    table([(str(b.id), f"{b.at:%Y-%m-%d %H:%M}", b.kind.value, b.text) for b in shown.behaviours])
    if shown.total > len(shown.behaviours):
        out.note(f"{len(shown.behaviours)} of {shown.total} shown: use -n for more")
    if not shown.total:
        out.note('nothing recorded yet: try `ondevice-rec log "what you did"`')
