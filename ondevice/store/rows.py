"""Drawing a row: the one way in which a step becomes a released row, here and in the audit."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ondevice.store.band import Row, RowMaker, Step

if TYPE_CHECKING:
    from ondevice.privacy.randomness import Randomness
    from ondevice.privacy.stream import StreamParameters
    from ondevice.store.entries import Stream

    Mechanism = Callable[[StreamParameters, Sequence[Step], Randomness], tuple[int, ...]]


def row_maker(
    randomness: "Randomness | None" = None, *, row: "Mechanism | None" = None
) -> RowMaker:
    """Return what `Store.record` and `Store.tick` draw rows with.

    Args:
        randomness: where noise comes from; the system's by default.
        row: the mechanism; `privacy.stream.row` by default. The audit hands in broken ones.
    """
    from ondevice.privacy import decoder, stream

    if randomness is None:
        from ondevice.privacy.randomness import SystemRandomness

        randomness = SystemRandomness()
    source, mechanism = randomness, row or stream.row
    last: tuple[bytes, decoder.StreamState] | None = None  # spares parsing in a long batch

    def make_row(stream: "Stream", inputs: Sequence[Step], state: bytes | None) -> Row:
        nonlocal last
        parameters = stream.parameters
        y = mechanism(parameters, inputs, source)
        if state is None:
            before = decoder.StreamState.start(parameters)
        elif last is not None and last[0] == state:
            before = last[1]
        else:
            before = decoder.StreamState.from_bytes(parameters, state)
        after = decoder.advance(parameters, before, y)
        blob = after.to_bytes(parameters)
        last = (blob, after)
        return Row(y=y, state=blob)

    return make_row
