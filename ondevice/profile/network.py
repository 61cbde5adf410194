"""The decoder network: a noisy sum becomes a user vector, and stays a sum (PRIVACY.md 3).

A space that was trained carries the weights. The network has one hidden layer, so the mean of its
Jacobian along the straight line from 0 to v is known exactly: each hidden unit contributes the
slope of the chord of its activation. With `gain` that mean and `prior` the network's answer to
v = 0, `u = prior + gain @ v` holds to rounding, and explanations sum to the score.
Source of the identity: the fundamental theorem of calculus along a line (integrated gradients).
"""

from collections.abc import Mapping

import numpy as np

from ondevice.errors import NotReadyError
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32
from ondevice.privacy.decoder import F64

HIDDEN = 256
GATE_HIDDEN = 16
FEATURES = 3  # log(1 + weight), log(1 + noise), share of the signal

_NAMES = frozenset(
    {"b1", "b2", "gate_b1", "gate_b2", "gate_w1", "gate_w2", "scale", "trust", "w1", "w2"}
)
_FLAT = 1e-4  # steps of the inner product below which a chord is a tangent


def linearised(space: Space, v: F64, weight: float, noise: float) -> tuple[F64, F64]:
    """Return prior (d,) and gain (d, d) with `network(v) = prior + gain @ v`.

    Args:
        space: with a decoder network.
        v: (d,), decoded rows in space units.
        weight: expected sum of the weights in v.
        noise: standard deviation of a coordinate of v.

    Raises:
        NotReadyError: the weights are not those of a network that is known here.
    """
    w = _weights(space)
    signal = float(w["scale"][0]) * weight
    total, d = float(np.hypot(signal, noise)), len(v)
    if total == 0.0:  # before the first step v says nothing
        total, signal, v = np.inf, 0.0, np.zeros(d)
    features = np.array([np.log1p(weight), np.log1p(noise), signal / total])
    at_zero = w["w1"][:, d:] @ features + w["b1"]
    step = w["w1"][:, :d] @ (v / total)
    opened = w["gate_w2"] @ _gelu(w["gate_w1"] @ features + w["gate_b1"]) + w["gate_b2"]
    gate = float(np.logaddexp(0.0, opened[0]))
    prior = w["w2"] @ _gelu(at_zero) + w["b2"]
    gain = (w["w2"] * _chord(at_zero, step)) @ w["w1"][:, :d]
    gain[np.diag_indices(d)] += gate
    trust = float(np.logaddexp(0.0, w["trust"] @ (1.0, signal / total)))
    return trust * prior, trust / total * gain


def _weights(space: Space) -> Mapping[str, F64]:
    given: Mapping[str, F32] = {} if space.decoder is None else space.decoder.weights
    d, hidden = space.dimension, len(given.get("b1", ()))
    gate = len(given.get("gate_b1", ()))
    shapes = {
        "b1": (hidden,),
        "b2": (d,),
        "gate_b1": (gate,),
        "gate_b2": (1,),
        "gate_w1": (gate, FEATURES),
        "gate_w2": (1, gate),
        "scale": (1,),
        "trust": (2,),
        "w1": (hidden, d + FEATURES),
        "w2": (d, hidden),
    }
    if given.keys() != _NAMES or any(given[name].shape != shapes[name] for name in _NAMES):
        raise NotReadyError(
            f"the space '{space.name}' decodes in a way that is not known here",
            hint="upgrade ondevice-rec",
        )
    return {name: array.astype(np.float64) for name, array in given.items()}


def _chord(at: F64, step: F64) -> F64:
    """Return the mean slope of the activation from `at` to `at + step`."""
    flat = np.abs(step) < _FLAT
    safe = np.where(flat, 1.0, step)
    return np.where(flat, _slope(at + step / 2), (_gelu(at + safe) - _gelu(at)) / safe)


def _gelu(x: F64) -> F64:
    """Return the Gaussian error linear unit by its usual approximation with tanh."""
    return 0.5 * x * (1.0 + np.tanh(_ROOT * (x + _CUBIC * x**3)))


def _slope(x: F64) -> F64:
    bent = np.tanh(_ROOT * (x + _CUBIC * x**3))
    return 0.5 * (1.0 + bent) + 0.5 * x * (1.0 - bent**2) * _ROOT * (1.0 + 3 * _CUBIC * x**2)


_ROOT = float(np.sqrt(2.0 / np.pi))
_CUBIC = 0.044715
