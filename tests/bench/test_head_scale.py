"""How long a head takes to learn, by the number of interactions: linear beyond 20,000."""

import time
from importlib.util import find_spec

import numpy as np
import pytest

pytestmark = [
    pytest.mark.bench,
    pytest.mark.server,
    pytest.mark.skipif(find_spec("torch") is None, reason="needs the server tools"),
]

LENGTH = 50  # behaviours of a user
SIZES = (20_000, 100_000, 1_000_000)  # interactions
WIDTH = 384


@pytest.mark.parametrize("interactions", SIZES)
def test_training_time(interactions: int) -> None:
    """Users who like two of a hundred topics; a tenth as many items as interactions."""
    import torch

    from server_tools.head import trainer

    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    items, users = interactions // 10, interactions // LENGTH
    topics = generator.standard_normal((100, WIDTH)).astype(np.float32)
    topic = generator.integers(100, size=items)
    vectors = topics[topic] + 2 * generator.standard_normal((items, WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    members = [np.flatnonzero(topic == k) for k in range(100)]
    histories = []
    for _ in range(users):
        liked = generator.integers(100, size=2)
        pool = np.concatenate([members[k] for k in liked])
        histories.append(generator.choice(pool, LENGTH).tolist())

    start, cpu = time.perf_counter(), time.process_time()
    found = trainer.train(vectors, histories, encoder="0" * 64)
    wall, spent = time.perf_counter() - start, time.process_time() - cpu

    print(
        f"{interactions:>9,} interactions: {spent:7.1f} s CPU, {wall:7.1f} s, {found.epochs} epochs"
    )
    assert found.space.quality
