"""`ondevice-server base-space`."""

from dataclasses import replace
from pathlib import Path

import click


@click.command()
@click.option(
    "--catalogues",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of NAME.jsonl files; the sample catalogues by default.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the space; models/space of a checkout by default.",
)
@click.option("--check", is_flag=True, help="Change nothing; fail if OUT is not what comes out.")
def base_space(catalogues: Path | None, out: Path | None, *, check: bool) -> None:
    """Fit the space that every device has, on the sample catalogues and nothing else.

    The same catalogues and encoder give the same bytes on the same machine.
    """
    import ondevice
    from ondevice.encoder.session import Encoder
    from ondevice.errors import ConfigError, IntegrityError
    from ondevice.formats import space
    from ondevice.paths import bundled
    from server_tools.head.base_quality import measured
    from server_tools.head.base_space import Sample, fit
    from server_tools.sources import jsonl

    folder = catalogues or bundled("demo") / "catalogues"
    target = out or Path(ondevice.__file__).resolve().parent.parent / "models" / "space"
    encoder = Encoder.load(bundled("encoder"))
    stale = IntegrityError(
        f"the space in {target} is not what the catalogues and the encoder give",
        hint="run: ondevice-server base-space, then make demo-bundle",
    )
    if check and space.read(target).encoder != encoder.digest:
        raise stale
    found = [tuple(jsonl.read(path)) for path in sorted(folder.glob("*.jsonl"))]
    if not found:
        raise ConfigError(f"{folder} has no NAME.jsonl", hint="give the folder of the samples")
    samples = [Sample(items=i, vectors=encoder.encode([item.text for item in i])) for i in found]
    fitted = fit(samples, encoder=encoder.digest)
    fitted = replace(fitted, quality=measured(samples, fitted))
    if check and space.read(target).digest != fitted.digest:
        raise stale
    if not check:
        space.write(fitted, target)
    items = sum(map(len, found))
    click.echo(
        f"{target}: {fitted.dimension} dimensions from {items} items, {fitted.digest}", err=True
    )
