"""User-level DP-SGD: what one user can change, what is drawn, and that something is learned."""

import numpy as np
import pytest
import torch

from ondevice.errors import ConfigError
from server_tools.head import dp_statistics, dp_train
from server_tools.head.batches import Histories
from server_tools.head.dp_train import Decoder, PrivateRecipe

N, WIDTH, D = 40, 12, 6
ENCODER = "ab" * 32


def vectors() -> np.ndarray:
    found = np.random.default_rng(0).normal(size=(N, WIDTH)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def histories(users: int, seed: int = 1) -> list[tuple[int, ...]]:
    """People who like one of two halves of the catalogue."""
    generator = np.random.default_rng(seed)
    halves = vectors()[:, 0].argsort()
    return [
        tuple(generator.permutation(halves[: N // 2] if user % 2 else halves[N // 2 :])[:12])
        for user in range(users)
    ]


def recipe(**changes: object) -> "PrivateRecipe":
    small = {"dimension": D, "hidden": 8, "batch": 16, "steps": 6, "seed": 3}
    return PrivateRecipe(**(small | changes))  # type: ignore[arg-type]


def clipped_sum(users: list[tuple[int, ...]], clip: float) -> "list[torch.Tensor]":
    """Return the sum of clipped gradients of `users`, as the optimiser makes it before noise."""
    torch.manual_seed(5)
    items = torch.nn.functional.normalize(torch.randn(N, D), dim=1)
    decoder = Decoder(items.numpy().astype(np.float64), np.ones(N), recipe())
    torch.nn.init.normal_(decoder.outer.weight)
    wrapped, optimiser = dp_train.private_optimiser(
        decoder, recipe(clip=clip), None, expected=len(users)
    )
    optimiser.max_grad_norm = clip
    batch = Histories.of(users, 64).cut(range(len(users)), at=0.6)
    loss = dp_train.losses(wrapped, items, batch, torch.zeros(len(users))).mean()
    dp_train.backward(loss)
    optimiser.clip_and_accumulate()
    return [weights.summed_grad.clone() for weights in wrapped.parameters()]


@pytest.mark.parametrize("clip", [1.0, 0.01])
def test_one_user_less_moves_the_sum_by_at_most_the_clip(clip: float) -> None:
    users = histories(7)
    whole = clipped_sum(users, clip)
    moved = []
    for gone in range(7):
        rest = clipped_sum(users[:gone] + users[gone + 1 :], clip)
        difference = sum(float(((a - b) ** 2).sum()) for a, b in zip(whole, rest, strict=True))
        moved.append(difference**0.5)
    assert max(moved) <= clip * (1 + 1e-4)
    assert max(moved) > clip * 0.2  # the clip is at work, not silence


def test_a_user_s_gradient_depends_on_nobody_else_in_the_step() -> None:
    """No in-batch negatives: the part of a user is the same in any company."""
    users = histories(6)
    alone = clipped_sum(users[:1], 1.0)
    with_others = [
        a - b for a, b in zip(clipped_sum(users, 1.0), clipped_sum(users[1:], 1.0), strict=True)
    ]
    for one, other in zip(alone, with_others, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_one_user_less_moves_the_statistics_by_at_most_1() -> None:
    items = np.random.default_rng(2).normal(size=(N, D))
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    for rows in (*histories(10), (3,), tuple(range(N)), ()):
        assert np.linalg.norm(dp_statistics.contribution(items, rows)) <= 1 + 1e-12
    assert np.linalg.norm(dp_statistics.contribution(5 * items, range(N))) <= 1 + 1e-12


def test_statistics_without_noise_are_those_of_the_users() -> None:
    items = np.random.default_rng(2).normal(size=(N, D))
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    people = histories(50)
    found = dp_statistics.release(items, people, noise=0.0, generator=np.random.default_rng(0))
    means = np.array([items[list(rows)].mean(axis=0) for rows in people])
    assert found.users == pytest.approx(50)
    assert found.typical.mean == pytest.approx(means.mean(axis=0))
    counts = np.bincount(np.concatenate([np.array(rows) for rows in people]), minlength=N)
    assert found.popularity == pytest.approx(counts / 12**0.5)
    assert (np.linalg.eigvalsh(found.typical.within) >= -1e-9).all()


def test_statistics_have_the_noise_that_was_asked_for() -> None:
    items = np.zeros((4000, D))
    found = dp_statistics.release(items, [], noise=3.0, generator=np.random.default_rng(0))
    share = dp_statistics.SHARES["items"]
    positive = found.popularity[found.popularity > 0]
    expected = 3.0 / share**0.5 * (2 / np.pi) ** 0.5  # mean of a half-normal
    assert positive.mean() == pytest.approx(expected, rel=0.05)


def test_a_head_states_what_it_cost_and_a_device_can_use_it() -> None:
    found = dp_train.train(vectors(), histories(60), encoder=ENCODER, epsilon=4.0, recipe=recipe())
    said = found.statement()
    assert 3.9 < float(str(said["epsilon"])) <= 4.0
    assert said["steps"] == 6
    from ondevice.profile.network import linearised

    prior, gain = linearised(found.space, np.zeros(D), 0.0, 0.0)
    assert np.isfinite(prior).all()
    assert np.isfinite(gain).all()
    assert found.bias.shape == (N,)
    assert found.space.quality == ()  # a table of private users would need a budget of its own


def test_without_noise_it_learns_which_half_people_like() -> None:
    people = histories(80)
    start = dp_train.train(
        vectors(), people, encoder=ENCODER, epsilon=float("inf"), recipe=recipe(steps=1)
    )
    end = dp_train.train(
        vectors(), people, encoder=ENCODER, epsilon=float("inf"), recipe=recipe(steps=60)
    )
    assert surprise(end, people) < surprise(start, people) - 0.05
    assert end.statement() == {"trained_on": "public data"}


def surprise(head: "dp_train.PrivateHead", people: list[tuple[int, ...]]) -> float:
    from ondevice.profile.network import linearised

    x = head.space.project(vectors()).astype(np.float64)
    total = 0.0
    for rows in people:
        v = x[list(rows[:9])].sum(axis=0)
        prior, gain = linearised(head.space, v, 9.0, 0.0)
        logits = head.space.temperature * x @ (prior + gain @ v) + head.bias
        logits[list(rows[:9])] = -np.inf
        total -= float((logits - np.logaddexp.reduce(logits))[list(rows[9:])].mean())
    return total / len(people)


def test_too_few_users_are_refused() -> None:
    with pytest.raises(ConfigError, match="too few"):
        dp_train.train(vectors(), histories(5), encoder=ENCODER, epsilon=4.0, recipe=recipe())
