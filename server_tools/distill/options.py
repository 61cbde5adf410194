"""Options that every command of the encoder's making takes: corpora, pairs, teacher."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

DATA = Path("../shared/data")


def inputs(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the options `data`, `sts_folder` and `teacher`, in this order."""
    options = (
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            default=DATA / "distill",
            show_default=True,
            help="Folder of the corpora, one NAME.txt.gz each.",
        ),
        click.option(
            "--sts",
            "sts_folder",
            type=click.Path(path_type=Path),
            default=DATA / "sts",
            show_default=True,
            help="Folder of the pairs that a recipe watches.",
        ),
        click.option(
            "--teacher",
            type=click.Path(path_type=Path),
            help="A local BERT folder instead of the package.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
