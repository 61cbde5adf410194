"""Bits that repeat: the same noise in two worlds, so that it cancels and the signal is seen.

For looking at a mechanism only. Nothing that a person keeps is ever drawn from a tape.
"""

import hashlib

from ondevice.privacy.randomness import Randomness

_BLOCK = 1 << 16  # bytes made at a time


class Tape:
    """Uniform bits that are a function of a seed (SHAKE-256). Satisfies `Randomness`."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._blocks = 0
        self._ready = b""

    def bytes(self, n: int) -> bytes:
        """Return the next `n` bytes."""
        while len(self._ready) < n:
            head = self._blocks.to_bytes(8, "big") + self._seed
            self._ready += hashlib.shake_256(head).digest(_BLOCK)
            self._blocks += 1
        taken, self._ready = self._ready[:n], self._ready[n:]
        return taken

    def bits(self, k: int) -> int:
        """Return the next integer in [0, 2^k)."""
        n = (k + 7) // 8
        return int.from_bytes(self.bytes(n), "little") >> (8 * n - k)


def below(bound: int, randomness: Randomness) -> int:
    """Return an integer in [0, bound); its bias of 2^-64 matters to no search."""
    return randomness.bits(64 + bound.bit_length()) * bound >> (64 + bound.bit_length())


def unit(randomness: Randomness) -> float:
    """Return a number in [0, 1)."""
    return randomness.bits(53) * 2.0**-53
