"""`ondevice-rec completion`."""

import click
from click.shell_completion import get_completion_class

from ondevice.cli.common import Output, common


@click.command(epilog='\b\nExample:\n  eval "$(ondevice-rec completion bash)"\n')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
def completion(*, shell: str, out: Output) -> None:
    """Print the completion script of SHELL."""
    from ondevice.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:  # click.Choice has narrowed it already
        raise click.UsageError(f"no completion for {shell}")
    script = kind(cli, {}, "ondevice-rec", "_ONDEVICE_REC_COMPLETE").source()
    if out.as_json:
        out.document({"shell": shell, "script": script})
    else:
        click.echo(script)
