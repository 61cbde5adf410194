"""`ondevice-rec demo`, off a terminal: ten lines. On a terminal `__main__` opens the TUI."""

from pathlib import Path

import click

from ondevice.cli.lock import lock_for
from ondevice.cli.render import items_as_json, list_lines, privacy_as_json


@click.command(epilog="\b\nExamples:\n  ondevice-rec demo\n  ondevice-rec demo --plain\n")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the sample person here (an empty or new folder); default: thrown away.",
)
@click.option("--catalogue", metavar="ID", help="Default: films and books.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--plain", is_flag=True, help="Lines instead of the TUI, also on a terminal.")
def demo(*, home: Path | None, catalogue: str | None, as_json: bool, plain: bool) -> None:
    """See the product at once: 80 behaviours of an invented person, five sample catalogues."""
    from ondevice.cli.common import Output

    lock_for(home, {})
    from ondevice.service.demo import demo_session
    from ondevice.service.overview import overview
    from ondevice.service.recommend import recommend

    with demo_session(home) as session:
        shown = recommend(session, catalogue=catalogue)
        strip = overview(session).strip
    out = Output(home=home or Path(), as_json=as_json, plain=plain)
    if as_json:
        out.document(
            {
                "view": shown.view,
                "catalogue": shown.catalogue,
                "items": items_as_json(shown.items),
                "privacy": privacy_as_json(shown.privacy),
            }
        )
        return
    click.echo(strip, err=True)
    for line in list_lines(shown.items):
        click.echo(line)
