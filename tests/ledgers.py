"""Small streams for tests of the ledger."""

from datetime import UTC, datetime

from ondevice.privacy.cadence import Clock
from ondevice.privacy.stream import StreamParameters
from ondevice.store import Store, Stream

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SPACE, OTHER = "ab" * 32, "cd" * 32
D = 3


def parameters(epsilon: float = 4.0) -> StreamParameters:
    return StreamParameters.for_budget(epsilon, 1e-6, D, half_life=4)


def opened(
    store: Store,
    *,
    space: str = SPACE,
    epsilon: float = 4.0,
    unit: str = "behaviour",
    cap: float = 4.0,
    at: datetime = AT,
) -> Stream:
    return store.ledger.open_stream(
        space=space,
        unit=unit,
        parameters=parameters(epsilon),
        cap_epsilon=cap,
        cap_delta=1e-6,
        at=at,
        clock=Clock.daily(at, 3600) if unit == "day" else None,
    )
