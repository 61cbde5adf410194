"""The one source of randomness of the client. Production noise can't be seeded."""

import os
from typing import Protocol


class Randomness(Protocol):
    """Uniform, independent bits. Functions that need some are handed one of these."""

    def bits(self, k: int) -> int:
        """Return an integer uniform in [0, 2^k)."""
        ...

    def bytes(self, n: int) -> bytes:
        """Return `n` uniform bytes."""
        ...


class SystemRandomness:
    """The operating system's generator, with no buffer of our own.

    Without a buffer neither a fork nor two threads can ever be handed the same bits [P10].
    """

    __slots__ = ()

    def bits(self, k: int) -> int:
        """Return an integer uniform in [0, 2^k)."""
        n = (k + 7) // 8
        return int.from_bytes(os.urandom(n), "little") >> (8 * n - k)

    def bytes(self, n: int) -> bytes:
        """Return `n` uniform bytes."""
        return os.urandom(n)
