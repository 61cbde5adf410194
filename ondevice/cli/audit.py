"""`ondevice-rec audit`."""

import sys
from pathlib import Path
from typing import Any

import click

from ondevice.cli.common import Output, common
from ondevice.errors import ConfigError, IntegrityError


@click.command(
    epilog="""\b
Examples:
  ondevice-rec audit --quick
  ondevice-rec audit --format html --output audit.html
"""
)
@click.option(
    "--format",
    "how",
    type=click.Choice(["text", "json", "html", "sarif"]),
    help="How to write it (default: text; json with --json).",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write to FILE instead of stdout.",
)
@click.option("--quick", is_flag=True, help="Exact checks only: seconds instead of minutes.")
@common
def audit(*, how: str | None, output: Path | None, quick: bool, out: Output) -> None:
    """Check this home and this program: store, keys, network, ledger, mechanism, catalogues.

    Measures, and says what it saw. Ends with exit code 5 when a check fails.
    """
    from ondevice.service.audit import audit as run
    from ondevice.service.audit import written

    found = run(out.home, quick=quick, prepared=_prepared(), progress=_progress(out))
    content = written(found, how or ("json" if out.as_json else "text"))
    if output is None:
        click.echo(content, nl=False)
    else:
        try:
            output.expanduser().write_text(content, encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"cannot write {output}: {error.strerror}", hint="name a file that can be written"
            ) from error
        out.note(f"{output} is written")
    if found.failed:
        raise IntegrityError(
            f"the audit failed: {', '.join(found.failed)}",
            hint="what to do about each stands in the audit itself",
        )


def _prepared() -> Any:
    """What was made ready before the lock."""
    return click.get_current_context().meta.get("ondevice.audit")


def _progress(out: Output) -> Any:
    if out.plain or out.as_json or not sys.stderr.isatty():
        return lambda _: None
    return lambda what: click.echo(f"\r\x1b[Kchecking {what} …\r", nl=False, err=True)
