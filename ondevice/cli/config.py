"""`ondevice-rec config`."""

from dataclasses import asdict, fields

import click

from ondevice.cli.common import Output, common, table
from ondevice.config import load
from ondevice.paths import Home


@click.group(epilog="\b\nExamples:\n  ondevice-rec config path\n  ondevice-rec config show\n")
def config() -> None:
    """The configuration file."""


@config.command(epilog="\b\nExample:\n  ondevice-rec config path\n")
@common
def path(*, out: Output) -> None:
    """Print where the configuration file is looked for."""
    where = Home(out.home).config
    if out.as_json:
        out.document({"path": str(where), "exists": where.exists()})
    else:
        click.echo(where)


@config.command(epilog="\b\nExample:\n  ondevice-rec config show\n")
@common
def show(*, out: Output) -> None:
    """Print every value and where it comes from."""
    values = load(Home(out.home).config)
    names = [f.name for f in fields(values) if f.name != "origin"]
    shown = {name: getattr(values, name) for name in names}
    shown["weights"] = {kind.value: weight for kind, weight in values.weights.items()}
    shown["ranking"] = asdict(values.ranking)
    if out.as_json:
        out.document({name: {"value": v, "from": values.origin[name]} for name, v in shown.items()})
        return
    rows: list[tuple[str, ...]] = []
    for name, value in shown.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        rows += [(f"{name}.{key}".strip("."), str(v), values.origin[name]) for key, v in parts]
    table(rows)
