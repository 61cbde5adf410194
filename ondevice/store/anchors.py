"""Public item vectors of spaces that a home has used: what ties one space to the next."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ondevice.store.connection import Connection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Anchors:
    """Public item vectors of spaces that this home has used: what ties one space to the next."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def has(self, space: str) -> bool:
        """Return whether vectors of `space` are kept."""
        return self._db.row("select 1 from anchors where space = ? limit 1", space) is not None

    def add(
        self, space: str, catalogue: str, items: Iterable[str], vectors: "NDArray[np.float32]"
    ) -> None:
        """Keep the vectors (n, d) of `items` of a catalogue in `space`."""
        rows = zip(items, vectors.astype("<f4"), strict=True)
        with self._db.transaction():
            self._db.run_many(
                "insert into anchors (space, catalogue, item, vector) values (?, ?, ?, ?) "
                "on conflict do nothing",
                [(space, catalogue, item, vector.tobytes()) for item, vector in rows],
            )

    def vectors(self, space: str) -> "dict[tuple[str, str], NDArray[np.float32]]":
        """Return (catalogue, item) → vector (d,) of everything kept of `space`."""
        import numpy as np

        rows = self._db.rows("select catalogue, item, vector from anchors where space = ?", space)
        return {(catalogue, item): np.frombuffer(v, "<f4") for catalogue, item, v in rows}
