"""Our recommender as a device runs it: the same codes, steps, release, profile and scores.

Only the noise differs: it comes from a seeded generator, through the vectorised law of the stream
(`ondevice.profile.simulate`); `score_users` takes the device's own path, row by row.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ondevice.formats.catalogue import Catalogue
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32
from ondevice.privacy import decoder, stream
from ondevice.privacy.randomness import Randomness
from ondevice.privacy.stream import StreamParameters
from ondevice.profile import simulate
from ondevice.profile.release import WEIGHT_MEAN, Profile, profile
from ondevice.profile.steps import step_of
from ondevice.ranking.score import scores
from server_tools.evaluate.data import Dataset, split
from server_tools.evaluate.measure import F64

I64 = NDArray[np.int64]

DELTA = 1e-6
WEIGHT = 1.0  # of a behaviour in a data set: something a person chose
FOR_EVER = 45 * 64  # steps after which a stream's noise no longer grows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mechanism:
    """How a profile leaves a device: which stream, and how strong its noise is in the end."""

    name: str
    parameters: StreamParameters
    epsilon: float  # infinite: no noise is added
    once: bool = False  # one release at the end instead of a row for every behaviour

    @property
    def noise_std(self) -> float:
        """Standard deviation of one coordinate of v after many steps, in space units."""
        return math.sqrt(self.noise_variance(FOR_EVER))

    def noise_variance(self, steps: int) -> float:
        """Variance of one coordinate of v after `steps` rows, in squared space units."""
        if not math.isfinite(self.epsilon) or steps == 0:
            return 0.0
        if self.once:  # the same sensitivity and cost without a stream
            return self.parameters.clip**2 / (2 * self.parameters.rho) / self.parameters.grid**2
        return decoder.noise_variance(self.parameters, steps)


def factorised(space: Space, epsilon: float) -> Mechanism:
    """The mechanism that ships."""
    return Mechanism(name="ours", parameters=_parameters(space, epsilon), epsilon=epsilon)


def fresh_noise(space: Space, epsilon: float) -> Mechanism:
    """Fresh noise on every behaviour: a stream whose rows mix nothing."""
    return Mechanism(
        name="fresh_noise", parameters=_parameters(space, epsilon, band=1), epsilon=epsilon
    )


def single_release(space: Space, epsilon: float) -> Mechanism:
    """One release after the last behaviour, and never again."""
    return Mechanism(
        name="single_release",
        parameters=_parameters(space, epsilon),
        epsilon=epsilon,
        once=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recommender:
    """A catalogue in memory with the step that each of its items makes."""

    catalogue: Catalogue
    steps: I64  # (n, d), grid units
    weight: float  # of every behaviour

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        space: Space,
        vectors: F32,
        bias: F32,
        *,
        residual: F32 | None = None,
        told: bool = False,
        weight: float = WEIGHT,
    ) -> "Recommender":
        """Put the items into `space` as a build does.

        Args:
            dataset: n items.
            space: of the encoder that made the vectors.
            vectors: (n, e), of that encoder.
            bias: (n,), in units of the score.
            residual: (n, d), what a head learned of each item.
            told: behaviours are texts that name no item, so they make steps without a residual.
            weight: of every behaviour, in (0, 1].
        """
        placed = space.project(vectors, residual)
        catalogue = Catalogue.in_memory(dataset.items, placed, bias, space)
        used = {row for rows in dataset.users.values() for row in rows}
        steps = np.zeros((len(catalogue), space.dimension), dtype=np.int64)
        units = space.project(vectors) if told else catalogue.unit()
        for row in sorted(used):
            steps[row] = step_of(units[row], weight)
        return cls(catalogue=catalogue, steps=steps, weight=weight)

    def with_bias(self, bias: F32) -> "Recommender":
        """The same items with another bias (n,)."""
        catalogue = replace(self.catalogue, bias=bias.astype(np.float32))
        return replace(self, catalogue=catalogue)

    def scores(self, released: Profile) -> F64:
        """Score every item as both views do, before anything is left out."""
        c = self.catalogue
        return scores(released.u, c.codes, c.inverse_norms, c.bias, released.temperature)


class Releases:
    """Profiles of many people by one mechanism.

    Where shrinkage decodes, how it does depends on the number of steps alone: the device's
    `profile` is asked once for each number, and its prior and gain are used again. They are the
    same numbers, in less time. A network is asked every time.
    """

    def __init__(
        self, ours: Recommender, mechanism: Mechanism, generator: np.random.Generator
    ) -> None:
        self._ours, self._mechanism, self._generator = ours, mechanism, generator
        self._decoded: dict[int, Profile] = {}

    def profile(self, behaviours: Sequence[int]) -> Profile:
        """Release the rows of one person's `behaviours`, oldest first, and decode them."""
        v = self._released(self._ours.steps[list(behaviours)])
        if self._ours.catalogue.space.decoder is not None:
            return self._decode(v, len(behaviours))
        typical = self._decoded.get(len(behaviours))
        if typical is None:
            typical = self._decoded[len(behaviours)] = self._decode(v, len(behaviours))
        return replace(typical, v=v, u=typical.prior + typical.gain @ v)

    def scores(self, behaviours: Sequence[int]) -> F64:
        """Score every item for a person who did `behaviours`."""
        return self._ours.scores(self.profile(behaviours))

    def _released(self, steps: I64) -> F64:
        """Return v (d,), with noise, of one stream of `steps` (T, d)."""
        mechanism, parameters = self._mechanism, self._mechanism.parameters
        if not math.isfinite(mechanism.epsilon):
            return simulate.values(parameters, steps)
        if not mechanism.once:
            z = simulate.noise(parameters.sigma2, steps.shape, self._generator)
            return simulate.values(parameters, steps, z)
        v = simulate.values(parameters, steps)
        variance = round(mechanism.noise_variance(len(steps)) * parameters.grid**2)
        return v + simulate.noise(variance, v.shape, self._generator) / parameters.grid

    def _decode(self, v: F64, steps: int) -> Profile:
        decoded = simulate.decoded(self._mechanism.parameters, v, steps)
        variance = self._mechanism.noise_variance(steps)
        return profile(
            replace(decoded, noise_variance=variance),
            self._ours.catalogue.space,
            weight_mean=self._ours.weight,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UserScores:
    """One device's rows and what they lead to."""

    user: str
    items: tuple[str, ...]  # ids of the behaviours' items, oldest first
    rows: tuple[tuple[int, ...], ...]  # released, one for each behaviour
    scores: F64  # (n,), of all items


def score_users(
    dataset: Dataset,
    space: Space,
    *,
    vectors: F32,
    randomness: Randomness,
    users: int = 20,
    seed: int = 0,
    epsilon: float = 4.0,
    delta: float = DELTA,
    residual: F32 | None = None,
    bias: F32 | None = None,
    weight: float = WEIGHT,
    weight_mean: float = WEIGHT_MEAN,
) -> Iterator[UserScores]:
    """Yield what the evaluator says of the first devices of a split, by the device's own path.

    Rows come from `privacy.stream.row`, so a device given the same rows must say the same.

    Args:
        dataset: n items and their users.
        space: where the stream lives.
        vectors: (n, e), of the space's encoder.
        randomness: seeded in tests.
        users: how many devices.
        seed: of the split.
        epsilon: for life.
        delta: beside epsilon.
        residual: (n, d), of a head; none without.
        bias: (n,), of a head; none without.
        weight: of every behaviour.
        weight_mean: the mean weight that decoding assumes; a device's by default.
    """
    given = np.zeros(len(dataset.items), dtype=np.float32) if bias is None else bias
    ours = Recommender.of(dataset, space, vectors, given, residual=residual, weight=weight)
    parameters = StreamParameters.for_budget(
        epsilon, delta, space.dimension, half_life=space.half_life
    )
    for device in split(dataset, seed=seed).devices[:users]:
        steps = [tuple(step) for step in ours.steps[list(device.behaviours)].tolist()]
        rows = tuple(
            stream.row(parameters, steps[max(0, t + 1 - parameters.band) : t + 1][::-1], randomness)
            for t in range(len(steps))
        )
        released = profile(decoder.decode(parameters, rows), space, weight_mean=weight_mean)
        yield UserScores(
            user=device.user,
            items=tuple(dataset.items[row].id for row in device.behaviours),
            rows=rows,
            scores=ours.scores(released),
        )


def _parameters(space: Space, epsilon: float, *, band: int | None = None) -> StreamParameters:
    """Return the stream for `epsilon`; without noise any will do, for its decay alone."""
    return StreamParameters.for_budget(
        epsilon if math.isfinite(epsilon) else 1.0,
        DELTA,
        space.dimension,
        half_life=space.half_life,
        band=band,
    )
