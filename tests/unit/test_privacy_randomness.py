"""The system's generator: range and spread, and no two callers share bits."""

import os

import pytest

from ondevice.privacy.randomness import SystemRandomness


@pytest.mark.parametrize("k", [0, 1, 7, 8, 9, 64, 121])
def test_bits_stay_in_range_and_reach_both_halves(k: int) -> None:
    draws = [SystemRandomness().bits(k) for _ in range(200)]

    assert all(0 <= value < 2**k for value in draws)
    if k:
        assert {value >> (k - 1) for value in draws} == {0, 1}


def test_bytes_have_the_asked_length_and_do_not_repeat() -> None:
    source = SystemRandomness()

    assert len(source.bytes(32)) == 32
    assert len({source.bytes(16) for _ in range(100)}) == 100


def test_a_forked_process_draws_other_bits() -> None:
    source = SystemRandomness()
    source.bytes(1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, source.bytes(16))
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read, 16) != source.bytes(16)
    os.close(read)
    os.close(write)
