"""Every error ondevice raises on purpose. Leaf module: imports nothing of ours.

OnDeviceError               exit 1
├── ConfigError             exit 2   a file or flag said something we refuse
├── NotReadyError           exit 3   nothing installed or logged yet
├── BudgetExhaustedError    exit 4   releasing would exceed the privacy budget
└── IntegrityError          exit 5   bytes that must not be used
    ├── FormatError                  they do not follow formats/SPEC.md
    └── TrustError                   they are well formed but not to be believed
        └── RollbackError            older than what this device already accepted
"""

from typing import ClassVar


class OnDeviceError(Exception):
    """Base class: `str(e)` says what happened, `e.hint` what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(OnDeviceError):
    """A configuration file, a flag or an argument said something we refuse."""

    exit_code = 2


class NotReadyError(OnDeviceError):
    """The thing asked for needs something that is not there yet."""

    exit_code = 3


class BudgetExhaustedError(OnDeviceError):
    """A release would cost more than the privacy budget allows."""

    exit_code = 4


class IntegrityError(OnDeviceError):
    """Bytes that must not be used."""

    exit_code = 5


class FormatError(IntegrityError):
    """Bytes do not follow formats/SPEC.md."""


class TrustError(IntegrityError):
    """Bytes are well formed, but nobody we trust vouches for them."""


class RollbackError(TrustError):
    """Someone offered something older than this device already accepted."""

    def __init__(self, what: str, *, offered: int, accepted: int, hint: str = "") -> None:
        super().__init__(
            f"{what} {offered} is older than the accepted {accepted}",
            hint=hint or "the source may be stale: retry later, or choose another source",
        )
        self.offered, self.accepted = offered, accepted
