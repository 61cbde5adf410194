"""Erase: everything of a person on this device, but the total of what was ever released."""

from dataclasses import asdict, dataclass
from typing import Any

from ondevice.errors import ConfigError, NotReadyError
from ondevice.service.session import Session

WORDS = "erase everything"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is gone, and what stays."""

    behaviours: int
    catalogues: int
    epsilon: float  # of everything that was ever released from this home, at `delta`
    delta: float
    unit: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; `said` is the receipt in words."""
        return {**asdict(self), "said": self.sentences()}

    def sentences(self) -> list[str]:
        """The receipt for people."""
        return [
            f"erased: {self.behaviours} behaviours, {self.catalogues} catalogues of your own, the "
            "profile, feedback, settings, and every key",
            f"left: one sealed total. What was released from here before is worth epsilon "
            f"{self.epsilon:.3g} at delta {self.delta:g} per {self.unit}, and can't be taken back",
            "not reached: backups and exports you made, and lists that were already shared",
        ]


def erase(session: Session, typed: str) -> Receipt:
    """Delete everything; `typed` must be `WORDS`.

    Raises:
        ConfigError: not what has to be typed for it.
        NotReadyError: there is nothing.
        OnDeviceError: the disk doesn't take it; nothing was deleted.
    """
    from ondevice.privacy.accountant import epsilon_of
    from ondevice.updates import install

    if typed.strip() != WORDS:
        raise ConfigError("nothing was erased", hint=f"type: {WORDS}")
    if not session.has_store:
        raise NotReadyError("there is nothing to erase", hint=f"nothing is in {session.home.root}")
    behaviours = session.store.behaviours.count()
    catalogues = len(install.installed(session.home))
    total, _ = session.store.erase(session.config.delta)
    return Receipt(
        behaviours=behaviours,
        catalogues=catalogues,
        epsilon=round(epsilon_of(total.rho, total.delta), 9) if total.rho else 0.0,
        delta=total.delta,
        unit=total.unit,
    )
