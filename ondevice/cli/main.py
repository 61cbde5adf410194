"""The command group. Each command's module is imported only when it is called."""

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import click

from ondevice import __version__
from ondevice.cli.lock import Wish
from ondevice.errors import OnDeviceError

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # name: (module:attribute, short help)
        "recommend": ("ondevice.cli.recommend:recommend", "Show what to look at next."),
        "search": ("ondevice.cli.search:search", "Search a catalogue by meaning."),
        "why": ("ondevice.cli.why:why", "Explain one item's score, part by part."),
        "log": ("ondevice.cli.log:log", "Record something you did."),
        "feedback": ("ondevice.cli.feedback:feedback", "Like, less, hide, open, dwell or undo."),
        "interests": (
            "ondevice.cli.interests:interests",
            "Pick topics to start from; mute what you don't want.",
        ),
        "import": ("ondevice.cli.import_:import_", "Read behaviours from a file."),
        "history": ("ondevice.cli.history:history", "List what is recorded here."),
        "forget": ("ondevice.cli.forget:forget", "Forget for good, with a receipt."),
        "export": ("ondevice.cli.export:export", "Write down everything that is kept."),
        "erase": ("ondevice.cli.erase:erase", "Delete everything of yours on this device."),
        "passphrase": ("ondevice.cli.passphrase:passphrase", "Protect your data by a passphrase."),
        "profile": ("ondevice.cli.profile:profile", "Show the private profile."),
        "audit": ("ondevice.cli.audit:audit", "Check this home, this program and its lock."),
        "budget": ("ondevice.cli.budget:budget", "Say what the privacy guarantee is."),
        "evaluate": (
            "ondevice.cli.evaluate:evaluate",
            "See how good your lists are, on your own history.",
        ),
        "catalogue": (
            "ondevice.cli.catalogue:catalogue",
            "List, add, update or remove catalogues.",
        ),
        "device": ("ondevice.cli.device:device", "This device's key, for a publisher to enrol."),
        "demo": ("ondevice.cli.demo:demo", "See the product at once, with a sample person."),
        "doctor": ("ondevice.cli.doctor:doctor", "Check this installation and say how to fix it."),
        "config": ("ondevice.cli.config:config", "Show the configuration and where it comes from."),
        "completion": ("ondevice.cli.completion:completion", "Print a shell's completion script."),
    }
)
EPILOG = """\b
First steps:
  ondevice-rec demo
  ondevice-rec log "watched a film about mountain rescue" --kind like
  ondevice-rec recommend
"""


class ReaderGoneError(Exception):
    """Whoever read our output has closed it. Click would end the process on an `OSError`."""


@contextmanager
def _reader() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGoneError from error


class LazyGroup(click.Group):
    """Looks a command up by name; `--help` reads the table, not the modules."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the arguments; `--help` is printed here."""
        with _reader():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _reader():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one command asked for."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ondevice-rec")
def cli() -> None:
    """Recommends without watching: everything stays on this device."""


def run(arguments: Sequence[str], *, lock: bool = False) -> int:
    """Run one command and return its exit code (0 to 5, see `ondevice.errors`).

    Args:
        arguments: of the command line.
        lock: whether a command that opens private data locks this whole process first, for good.
    """
    try:
        # Without standalone mode click returns the code of an `Exit`, and None at a normal end.
        code = cli.main(
            list(arguments), prog_name="ondevice-rec", standalone_mode=False, obj=Wish(lock)
        )
    except click.ClickException as error:
        error.show()
        return 2
    except click.Abort:
        click.echo("ondevice-rec: stopped", err=True)
        return 1
    except ReaderGoneError:
        # `| head` has seen enough: not an error; keep Python's exit quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OnDeviceError as error:
        click.echo(f"ondevice-rec: error: {error}", err=True)
        if error.hint:
            click.echo(f"ondevice-rec: hint: {error.hint}", err=True)
        return error.exit_code
    return code if isinstance(code, int) else 0
