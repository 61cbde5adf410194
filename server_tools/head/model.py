"""The head as torch sees it while it learns; `ondevice.profile.network` is what a device runs.

An item is `x_i = unit(W (e_i - c) + a + r_i)` with e its text and r a residual, which the more
users chose an item the more it can have; a person is `network(noisy decayed sum of x)`;
the score is `tau <u, x_i> + s log(1 + count_i) + b_i`. A device gets W, c and the network with the
space, and the rest with a build: a unit vector and a number for each item.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ondevice.formats.tensors import F32
from ondevice.profile.network import FEATURES, GATE_HIDDEN, HIDDEN

F64 = NDArray[np.float64]
TINY = 1e-12  # before the first step there is neither signal nor noise
CERTAIN = 0.541325  # its softplus is 1


def trust(by_share: Tensor, share: Tensor) -> Tensor:
    """Return how much taste counts, (b,), where `share` (b,) of what is known is signal."""
    return functional.softplus(by_share[0] + by_share[1] * share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large the head is, and how it is kept from learning its users by heart."""

    dimension: int
    hidden: int = HIDDEN
    text_dropout: float = 0.1  # of the coordinates of all texts
    residual_dropout: float = 0.3  # of whole residuals: new items have none
    rare: float = 5.0  # choices of an item at which its residual counts half


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """What is known of n items."""

    text: F32  # (n, e), centred; zeros where there is none
    counts: F64  # (n,), how many users chose each


class Head(nn.Module):
    """Weights and the forward pass."""

    def __init__(self, inputs: Inputs, shape: Shape, *, start: F32) -> None:
        """Begin at the projection `start`, (d, e)."""
        super().__init__()
        n, d = len(inputs.text), shape.dimension
        self.shape = shape
        self.text = torch.tensor(inputs.text, dtype=torch.float32)
        self.there = torch.tensor(inputs.text.any(axis=1, keepdims=True), dtype=torch.float32)
        self.counts = torch.tensor(inputs.counts, dtype=torch.float32)
        self.trust = (self.counts / (self.counts + shape.rare))[:, None]
        self.start = torch.tensor(start, dtype=torch.float32)
        self.projection = nn.Parameter(self.start.clone())
        self.offset = nn.Parameter(torch.zeros(d))
        self.residual = nn.Parameter(torch.zeros(n, d))
        self.bias = nn.Parameter(torch.zeros(n))
        self.popular = nn.Parameter(torch.tensor(0.5))
        self.log_tau = nn.Parameter(torch.tensor(4.5 / d**0.5).log())
        self.log_scale = nn.Parameter(torch.tensor(0.3 / d**0.5).log())
        self.trust_by_share = nn.Parameter(torch.tensor([CERTAIN, 0.0]), requires_grad=False)
        self.inner = nn.Linear(d + FEATURES, shape.hidden)
        self.outer = nn.Linear(shape.hidden, d)
        self.gate_inner = nn.Linear(FEATURES, GATE_HIDDEN)
        self.gate_outer = nn.Linear(GATE_HIDDEN, 1)

    def items(self, rows: Tensor | None = None) -> Tensor:
        """Return the unit vectors (k, d) of `rows`, or of all items."""
        text, there = self.text, self.there
        residual = self.residual * self.trust
        if rows is not None:
            text, there = text[rows], there[rows]
            residual = residual[rows]
        projection: Tensor = self.projection
        shape = self.shape
        if self.training:
            ones = torch.ones(1, projection.shape[1])
            projection = projection * functional.dropout(ones, shape.text_dropout)
            residual = residual * (torch.rand(len(residual), 1) >= shape.residual_dropout)
        read = text @ projection.T + self.offset * there
        unit: Tensor = functional.normalize(read + residual, dim=1)
        return unit

    def user(self, v: Tensor, weight: Tensor, noise: Tensor) -> Tensor:
        """Return user vectors (b, d): the network of a device, in torch.

        Args:
            v: (b, d), noisy decayed sums.
            weight: (b,), expected sums of weights.
            noise: (b,), standard deviations of a coordinate of v.
        """
        signal = self.log_scale.exp() * weight
        total = torch.sqrt(signal**2 + noise**2 + TINY)
        z = v / total[:, None]
        features = torch.stack([torch.log1p(weight), torch.log1p(noise), signal / total], dim=1)
        hidden = functional.gelu(self.inner(torch.cat([z, features], dim=1)), approximate="tanh")
        gate = self.gate_outer(functional.gelu(self.gate_inner(features), approximate="tanh"))
        told: Tensor = self.outer(hidden) + functional.softplus(gate) * z
        return trust(self.trust_by_share, features[:, 2])[:, None] * told

    def popularity(self) -> Tensor:
        """Return the part (n,) of the score that is the same for everybody."""
        return self.popular * torch.log1p(self.counts) + self.bias

    def share(self, weight: Tensor, noise: Tensor) -> Tensor:
        """Return how much of what is known is signal, (b,); arguments as of `user`."""
        signal = self.log_scale.exp() * weight
        return signal / torch.sqrt(signal**2 + noise**2 + TINY)

    @torch.no_grad()
    def calibrate(self, by_share: Tensor, popular: float) -> None:
        """Let taste count as `by_share` says, and popularity `popular` times as much."""
        self.trust_by_share.copy_(by_share)
        self.popular.mul_(popular)
        self.bias.mul_(popular)

    def tau(self) -> Tensor:
        """Return units of the score in one unit of <u, x>."""
        return self.log_tau.exp()

    def groups(self, *, rate: float, residual_decay: float) -> list[dict[str, Any]]:
        """Return the parameters for an optimiser, each with its own decay.

        A projection decays to where it began (`pull`), not to zero.
        """
        layers = (self.inner, self.outer, self.gate_inner, self.gate_outer)
        network = [parameter for layer in layers for parameter in layer.parameters()]
        numbers = [self.popular, self.log_tau, self.log_scale]
        return [
            {"params": [self.projection, self.offset], "lr": rate, "weight_decay": 0.0},
            {"params": network, "lr": rate, "weight_decay": 0.05},
            {"params": [self.residual], "lr": 2.5 * rate, "weight_decay": residual_decay},
            {"params": [self.bias], "lr": rate, "weight_decay": 1.0},
            {"params": numbers, "lr": 2.5 * rate, "weight_decay": 0.0},
        ]

    @torch.no_grad()
    def pull(self, share: float) -> None:
        """Move the projection `share` of the way back to its start."""
        self.projection.lerp_(self.start, share)

    @torch.no_grad()
    def beyond_text(self) -> F32:
        """Return what an item has beside its text, (n, d)."""
        return (self.residual * self.trust).numpy().astype(np.float32)

    @torch.no_grad()
    def network(self) -> dict[str, F32]:
        """Return the decoder's arrays as `ondevice.profile.network` names them."""
        found = {
            "w1": self.inner.weight,
            "b1": self.inner.bias,
            "w2": self.outer.weight,
            "b2": self.outer.bias,
            "gate_w1": self.gate_inner.weight,
            "gate_b1": self.gate_inner.bias,
            "gate_w2": self.gate_outer.weight,
            "gate_b2": self.gate_outer.bias,
            "trust": self.trust_by_share,
            "scale": self.log_scale.exp()[None],
        }
        return {name: tensor.detach().numpy().copy() for name, tensor in found.items()}
