"""The sample person: a home with 80 behaviours, made in the same way as anybody's."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from ondevice import clock
from ondevice.domain import Behaviour, Kind
from ondevice.errors import ConfigError, IntegrityError
from ondevice.paths import bundled
from ondevice.service.behave import record
from ondevice.service.session import Session


@contextmanager
def demo_session(home: Path | None = None) -> Iterator[Session]:
    """Open a home in which the sample person has just done 80 things.

    Args:
        home: an empty or new folder that is kept; None for one that is thrown away at the end.

    Raises:
        ConfigError: `home` holds something already.
    """
    if home is not None and home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise ConfigError(
            f"{home} is not empty, and the demo never touches anybody's data",
            hint="name a new folder, or leave --home out",
        )
    root = home or Path(tempfile.mkdtemp(prefix="ondevice-rec-demo-"))
    try:
        with Session.open(root, sample=True) as session:
            record(session, sample_behaviours())
            yield session
    finally:
        if home is None:
            shutil.rmtree(root, ignore_errors=True)


def sample_behaviours() -> list[Behaviour]:
    """What the sample person did, oldest first.

    Raises:
        IntegrityError: the shipped file is damaged.
    """
    path = bundled("demo") / "persona.jsonl"
    now = clock.now()
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found = [
            Behaviour(
                text=row["text"],
                kind=Kind(row["kind"]),
                at=now - timedelta(days=row["days_ago"]),
                item=row["item"],
                catalogue=row["catalogue"],
                source="sample",
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"the sample person's file is damaged: {error}",
            hint="reinstall the package: pip install --force-reinstall ondevice-rec",
        ) from error
    return sorted(found, key=lambda behaviour: behaviour.at)
