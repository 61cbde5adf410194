"""Take an export back without loss: behaviours, verdicts and wishes, each as it was."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.domain import Behaviour
from ondevice.importers import export
from ondevice.service.session import Session

if TYPE_CHECKING:
    from ondevice.store import Recorded

BATCH = 500  # behaviours in one transaction

Write = Callable[[Session, list[Behaviour]], "list[Recorded]"]


def restore(
    session: Session, folder: Path, write: Write, *, dry_run: bool
) -> tuple[int, int, list[str]]:
    """Record what `folder` holds.

    Args:
        session: into which home.
        folder: written by `export`.
        write: records behaviours, with their steps.
        dry_run: only count.

    Returns:
        Behaviours read, those of them that were known already, and what else to say.

    Raises:
        ConfigError: not an export, or it was changed; nothing was recorded.
    """
    counts = export.check(folder)
    if dry_run:
        extra = [f"{counts[part]} of {part}" for part in ("feedback", "wishes") if counts[part]]
        return counts["behaviours"], 0, extra
    here = {one.id for one in session.installed()}
    ids: dict[int, int] = {}
    read = duplicates = apart = 0
    found = map(export.behaviour_of, export.rows(folder, "behaviours"))
    while batch := list(islice(found, BATCH)):
        # One whose catalogue is missing, or whose words were forgotten, can't be learned from.
        learned = [one for one in batch if _learnable(one, here)]
        kept = [one for one in batch if not _learnable(one, here)]
        done = [*zip(learned, write(session, learned), strict=True)]
        done += zip(kept, _keep(session, kept), strict=True)
        for one, recorded in done:
            ids[one.id or 0] = recorded.id
            duplicates += recorded.duplicate
        read, apart = read + len(batch), apart + len(kept)
    verdicts, wishes = session.store.history.take_back(
        export.rows(folder, "feedback"), export.rows(folder, "wishes"), ids
    )
    notes = [
        f"{count} {what}"
        for count, what in (
            (verdicts, "verdicts taken back"),
            (wishes, "picks and mutes taken back"),
            (apart, "kept, but not learned from: their catalogue or their words are not here"),
        )
        if count
    ]
    return read, duplicates, notes


def _learnable(behaviour: Behaviour, here: set[str]) -> bool:
    from ondevice.store.forget import KEPT

    return behaviour.text != KEPT and (behaviour.catalogue is None or behaviour.catalogue in here)


def _keep(session: Session, behaviours: list[Behaviour]) -> "list[Recorded]":
    from ondevice.store import Entry

    return session.store.record_many([Entry(behaviour=one) for one in behaviours])
