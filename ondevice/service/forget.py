"""Forget: what it would be, doing it, and a receipt of what is gone and what can't be unlearned."""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from ondevice.errors import ConfigError, NotReadyError
from ondevice.service.session import Session

if TYPE_CHECKING:
    from ondevice.store.forget import Found, Gone, Selection
    from ondevice.store.generation import Scanned

FORGOTTEN = "noise and what you have forgotten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would be forgotten."""

    behaviours: int
    verdicts: int
    wishes: int
    by_source: dict[str, int]
    first: str | None  # ISO 8601
    last: str | None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    def sentence(self) -> str:
        """One line for people."""
        if not (self.behaviours or self.verdicts or self.wishes):
            return "nothing recorded matches"
        return f"{_count(self.behaviours, self.verdicts, self.wishes)}{self._span()}"

    def _span(self) -> str:
        if not self.first or not self.last:
            return ""
        sources = ", ".join(f"{count} from {name}" for name, count in self.by_source.items())
        days = {self.first[:10]: 0, self.last[:10]: 0}
        return f" ({' to '.join(days)}; {sources})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was forgotten, what was looked at afterwards, and what stays released."""

    behaviours: int
    verdicts: int
    wishes: int
    released: int  # of the behaviours, those that a released row holds
    weight: float  # what they still weigh in what was released; one new behaviour weighs 1
    half_life: int  # after as many further steps that weight is half of it
    keys_changed: bool
    searched_for: int  # traces of what was forgotten, found nowhere
    pages: int  # decrypted and searched
    files: int  # searched for the old key

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; `said` is the receipt in words."""
        return {**asdict(self), "said": self.sentences()}

    def sentences(self) -> list[str]:
        """The receipt for people."""
        if not self.keys_changed:
            return ["nothing recorded matches: nothing was changed"]
        lines = [
            f"forgotten: {_count(self.behaviours, self.verdicts, self.wishes)}",
            "gone: words, times, vectors, steps to come, lists made from them; the store has a new "
            "key, and the old one and its pepper are destroyed",
            f"checked: {self.searched_for} traces in {self.pages} decrypted pages, the old key in "
            f"{self.files} files: nothing found",
        ]
        if self.released:
            lines.append(
                f"can't be unlearned: {self.released} of them had entered what is released, and "
                f"still weigh {self.weight:.2f} there (one new behaviour weighs 1), behind noise; "
                f"half of it after {self.half_life} more. `why` calls it “{FORGOTTEN}”"
            )
        lines.append(
            "not reached: backups you made, and lists that were already shown or shared; "
            "on flash memory the disk decides when old blocks go, which is why the key goes too"
        )
        return lines


def selection(
    *,
    id: int | None = None,  # noqa: A002  # the option's name
    day: str | None = None,
    source: str | None = None,
    before: str | None = None,
    all: bool = False,  # noqa: A002
) -> "Selection":
    """Read what a person named: exactly one.

    Raises:
        ConfigError: none or several, or not a day or a time.
    """
    from ondevice.store.forget import Selection

    given = [value for value in (id, day, source, before, all or None) if value is not None]
    if len(given) != 1:
        raise ConfigError(
            "say what to forget: one of --id, --day, --source, --before, --all",
            hint="see what there is: ondevice-rec history",
        )
    return Selection(
        id=id,
        day=a_day(day) if day is not None else None,
        source=source,
        before=_a_time(before) if before is not None else None,
        all=all,
    )


def preview(session: Session, wanted: "Selection") -> Preview:
    """Say what `wanted` would forget; nothing is changed.

    Raises:
        NotReadyError: there is no behaviour with the id that it names.
    """
    found = _look(session, wanted)
    return Preview(
        behaviours=found.behaviours,
        verdicts=found.verdicts,
        wishes=found.wishes,
        by_source=found.by_source,
        first=found.first.isoformat() if found.first else None,
        last=found.last.isoformat() if found.last else None,
    )


def forget(session: Session, wanted: "Selection") -> Receipt:
    """Forget what `wanted` names, for good, and change the keys.

    Raises:
        NotReadyError: there is no behaviour with the id that it names.
        OnDeviceError: the disk doesn't take it; nothing was changed.
        IntegrityError: a trace was found afterwards; nothing was changed.
    """
    from ondevice.store.forget import Gone, delete

    found = _look(session, wanted)
    if not (found.behaviours or found.verdicts or found.wishes):
        return _receipt(Gone(), None)
    gone, scanned = session.store.rewrite(lambda connection: delete(connection, wanted))
    return _receipt(gone, scanned)


def a_day(given: str) -> date:
    """Read a day.

    Raises:
        ConfigError: it is none.
    """
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise ConfigError(f"'{given}' is not a day", hint="write it like 2026-01-31") from None


def _a_time(given: str) -> datetime:
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise ConfigError(
            f"'{given}' is not a time",
            hint="write it like 2026-01-31 or 2026-01-31T18:30 (UTC unless it says so)",
        ) from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _look(session: Session, wanted: "Selection") -> "Found":
    from ondevice.store.forget import Found, look

    if not session.has_store:
        found = Found(behaviours=0, verdicts=0, wishes=0, by_source={}, first=None, last=None)
    else:
        found = session.store.consult(lambda connection: look(connection, wanted))
    if wanted.id is not None and not found.behaviours:
        raise NotReadyError(
            f"there is no behaviour {wanted.id}", hint="see their numbers: ondevice-rec history"
        )
    return found


def _receipt(gone: "Gone", scanned: "Scanned | None") -> Receipt:
    return Receipt(
        behaviours=gone.behaviours,
        verdicts=gone.verdicts,
        wishes=gone.wishes,
        released=gone.released,
        weight=round(gone.weight, 4),
        half_life=gone.half_life,
        keys_changed=scanned is not None,
        searched_for=scanned.needles if scanned else 0,
        pages=scanned.pages if scanned else 0,
        files=scanned.files if scanned else 0,
    )


def _count(behaviours: int, verdicts: int, wishes: int) -> str:
    parts = [
        f"{number} {word}{'' if number == 1 else 's'}"
        for number, word in (
            (behaviours, "behaviour"),
            (verdicts, "verdict"),
            (wishes, "pick or mute"),
        )
        if number
    ]
    return ", ".join(parts).replace("pick or mutes", "picks or mutes")
