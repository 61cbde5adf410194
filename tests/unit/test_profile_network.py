"""The decoder network: its formula by hand, a sum that is exact, and what it refuses."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ondevice.__main__ import CALM
from ondevice.errors import NotReadyError
from ondevice.formats.space import DecoderNetwork, Space
from ondevice.privacy.decoder import F64, Decoded
from ondevice.profile import network
from ondevice.profile.release import profile

D = 6


def make_space(d: int = D, hidden: int = 9, gate: int = 4) -> Space:
    generator = np.random.default_rng(3)
    shapes = {
        "w1": (hidden, d + network.FEATURES),
        "b1": (hidden,),
        "w2": (d, hidden),
        "b2": (d,),
        "gate_w1": (gate, network.FEATURES),
        "gate_b1": (gate,),
        "gate_w2": (1, gate),
        "gate_b2": (1,),
    }
    weights = {k: generator.standard_normal(v).astype(np.float32) for k, v in shapes.items()}
    weights["scale"] = np.array([0.1], dtype=np.float32)
    weights["trust"] = np.array([0.4, 0.7], dtype=np.float32)
    return Space(
        name="trained",
        encoder="0" * 64,
        centre=np.zeros(d, dtype=np.float32),
        projection=np.eye(d, dtype=np.float32),
        half_life=16,
        temperature=7.0,
        mean=np.zeros(d, dtype=np.float32),
        between=np.eye(d, dtype=np.float32),
        within=np.eye(d, dtype=np.float32),
        decoder=DecoderNetwork(weights=weights),
    )


def heard(v: F64, *, steps: int = 20, noise: float = 2.0) -> Decoded:
    beta = 0.5 ** (1 / 16)
    return Decoded(
        v=v,
        steps=steps,
        beta=beta,
        noise_variance=noise if steps else 0.0,
        weight_sum=sum(beta**k for k in range(steps)),
        weight_square_sum=sum(beta ** (2 * k) for k in range(steps)),
    )


def gelu(x: F64) -> F64:
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


def by_hand(space: Space, v: F64, weight: float, noise: float) -> F64:
    assert space.decoder is not None
    w = {name: array.astype(np.float64) for name, array in space.decoder.weights.items()}
    signal = float(w["scale"][0]) * weight
    total = np.sqrt(signal**2 + noise**2)
    features = np.array([np.log1p(weight), np.log1p(noise), signal / total if total else 0.0])
    z = v / total if total else np.zeros_like(v)
    hidden = gelu(w["w1"] @ np.concatenate([z, features]) + w["b1"])
    gate = np.log1p(
        np.exp(w["gate_w2"] @ gelu(w["gate_w1"] @ features + w["gate_b1"]) + w["gate_b2"])
    )
    trust = np.log1p(np.exp(w["trust"][0] + w["trust"][1] * features[2]))
    return np.asarray(trust * (w["w2"] @ hidden + w["b2"] + gate * z))


@pytest.mark.parametrize("length", [0.0, 1e-9, 1e-4, 0.3, 5.0, 1e3])
@pytest.mark.parametrize("noise", [0.0, 1.5, 40.0])
def test_the_answer_is_that_of_the_network_and_a_sum(length: float, noise: float) -> None:
    space = make_space()
    v = length * np.random.default_rng(1).standard_normal(D)
    decoded = heard(v, noise=noise**2)

    got = profile(decoded, space, weight_mean=0.6)

    weight = 0.6 * decoded.weight_sum
    assert got.u == pytest.approx(by_hand(space, v, weight, noise), abs=1e-7)
    assert got.prior == pytest.approx(by_hand(space, np.zeros(D), weight, noise), abs=1e-12)
    assert got.u == pytest.approx(got.prior + got.gain @ got.v, abs=1e-12)


def test_the_gain_is_the_mean_of_the_slopes_on_the_way() -> None:
    space, v = make_space(), np.random.default_rng(2).standard_normal(D)
    places = (np.arange(400) + 0.5) / 400
    small = 1e-5
    slopes = [
        [
            (
                by_hand(space, a * v + small * e, 5.0, 1.0)
                - by_hand(space, a * v - small * e, 5.0, 1.0)
            )
            / (2 * small)
            for e in np.eye(D)
        ]
        for a in places
    ]

    _, gain = network.linearised(space, v, 5.0, 1.0)

    assert gain == pytest.approx(np.mean(slopes, axis=0).T, abs=1e-4)


def test_before_the_first_step_v_says_nothing() -> None:
    space = make_space()
    got = profile(heard(np.zeros(D), steps=0), space)

    assert got.u == pytest.approx(by_hand(space, np.zeros(D), 0.0, 0.0), abs=1e-12)
    assert not got.gain.any()
    assert (got.steps, got.noise_std, got.temperature) == (0, 0.0, 7.0)


TIMED = """
import time, numpy as np
from ondevice.profile import network
from test_profile_network import heard, make_space
from ondevice.profile.release import profile
space = make_space(64, network.HIDDEN, network.GATE_HIDDEN)
decoded = heard(np.random.default_rng(4).standard_normal(64))
profile(decoded, space)
start = time.process_time()
for _ in range(20):
    profile(decoded, space)
print((time.process_time() - start) / 20)
"""


def test_it_costs_at_most_5_milliseconds() -> None:
    """On one thread, as the program sets it before it loads anything."""
    found = subprocess.run(
        [sys.executable, "-c", TIMED],
        cwd=Path(__file__).parent,
        env={**os.environ, **CALM},
        capture_output=True,
        text=True,
        check=True,
    )

    assert float(found.stdout) < 3 * 0.005


@pytest.mark.parametrize(
    "change",
    [
        {"b2": np.zeros(D + 1, dtype=np.float32)},
        {"w1": np.zeros((9, D + 2), dtype=np.float32)},
        {"b1": np.zeros(8, dtype=np.float32)},
        {"scale": np.zeros((1, 1), dtype=np.float32)},
        {"extra": np.zeros(1, dtype=np.float32)},
    ],
)
def test_a_network_of_another_kind_is_not_ignored(change: dict[str, np.ndarray]) -> None:
    space = make_space()
    assert space.decoder is not None
    weights = {**space.decoder.weights, **change}

    with pytest.raises(NotReadyError, match="decodes in a way") as caught:
        profile(heard(np.zeros(D)), replace(space, decoder=DecoderNetwork(weights=weights)))
    assert "upgrade" in caught.value.hint
