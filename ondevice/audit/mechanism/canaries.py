"""With or without one behaviour: how well can somebody who sees every row, for ever, tell?

A canary is one behaviour of the greatest weight. Many streams are run with it and without it,
through step, rows and decoder, and two readers are tried: the best one there is (the likelihood
ratio of all rows, knowing everything else that happened) and one who only sees the decoded
profile just after. Under the claim no event is more likely with the canary than the trade-off
curve G_mu allows, mu = sqrt(2 rho). [A6] and [A7] in PROOF.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ondevice.audit.mechanism import bounds
from ondevice.audit.mechanism.findings import Finding, verdict
from ondevice.audit.mechanism.level import Level
from ondevice.audit.mechanism.sensitivity import bands
from ondevice.audit.mechanism.subject import F64, Mechanism, Step
from ondevice.errors import OnDeviceError
from ondevice.privacy import decoder
from ondevice.privacy.randomness import Randomness
from ondevice.privacy.stream import StreamParameters

NAME = "mechanism.trade_off"
THRESHOLDS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5)  # of a score that is N(0, 1) without it
SPARE = 1e-6  # more than discrete rows differ from continuous ones in any probability [A7]
CONFIDENCE = 0.95  # of what is reported; never of what fails
CANDIDATES = 16  # thresholds tried on the half that chooses


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One behaviour, and the stream that it is put into."""

    name: str
    vector: tuple[float, ...]  # in space units, before clipping
    half_life: int
    before: int = 0  # other behaviours before it, at the radius; zeros come after

    @property
    def key(self) -> str:
        """The name in keys of what was measured."""
        return self.name.replace(",", "").replace("-", "_").replace(" ", "_")


CANARIES = (
    Canary(name="short stream", vector=(1.0,), half_life=2),
    Canary(name="huge, among others", vector=(3e4, -4e4, 5.0), half_life=8, before=4),
    Canary(name="default half-life", vector=(-1.0,), half_life=64),
)


@dataclass(slots=True)
class _Worlds:
    """The rows of one canary's stream in both worlds, and how they are scored."""

    p: StreamParameters
    present: list[list[Step]]
    absent: list[list[Step]]
    known: F64  # (rows, d): the signal without the canary
    weights: F64  # (rows, d): scores rows as N(0, 1) without it
    at: int  # the canary's row
    towards: F64  # (d,): scores the decoded sum as N(0, 1) without it
    known_v: F64  # (d,)


@dataclass(slots=True)
class _Scores:
    """What two readers saw: (rows, profile) for every run in each world."""

    present: tuple[F64, F64]
    absent: tuple[F64, F64]


@dataclass(slots=True)
class _Outcome:
    problems: list[str] = field(default_factory=list)
    measured: dict[str, float | int | str] = field(default_factory=dict)


def check(
    subject: Mechanism,
    randomness: Randomness,
    *,
    runs: Sequence[int],
    epsilon: float = 4.0,
    delta: float = 1e-6,
) -> Finding:
    """Run every canary `runs` times in each world; those with no run are left out."""
    chosen = [(canary, n) for canary, n in zip(CANARIES, runs, strict=True) if n]
    level = Level(NAME, planned=2 * 2 * len(THRESHOLDS) * len(chosen))
    outcome = _Outcome()
    for canary, n in chosen:
        p = subject.parameters(epsilon, delta, len(canary.vector), half_life=canary.half_life)
        try:
            worlds = _worlds(subject, p, canary)
            scores = _Scores(
                present=_run(subject, worlds, worlds.present, n, randomness),
                absent=_run(subject, worlds, worlds.absent, n, randomness),
            )
        except OnDeviceError as error:
            outcome.problems.append(f"the canary '{canary.name}' is refused: {error}")
            continue
        for reader, with_it, without in zip(
            ("rows", "profile"), scores.present, scores.absent, strict=True
        ):
            what = f"{canary.name}, from the {reader}"
            outcome.problems += _impossible(with_it, without, p, level, what)
        found = lower_bounds(scores.present[0], scores.absent[0], delta)
        outcome.measured |= {
            f"{canary.key}.runs": 2 * n,
            f"{canary.key}.epsilon_at_least": found.epsilon,
            f"{canary.key}.epsilon_at_least_gaussian": found.gaussian_epsilon,
            f"{canary.key}.mu_at_least": found.mu,
            f"{canary.key}.mu_claimed": math.sqrt(2 * p.rho),
        }
    outcome.measured["level"] = level.each
    first = chosen[0][0].key
    seen = outcome.measured.get(f"{first}.epsilon_at_least", math.nan)
    gaussian = outcome.measured.get(f"{first}.epsilon_at_least_gaussian", math.nan)
    return verdict(
        NAME,
        outcome.problems,
        passed=f"with or without a canary, {2 * sum(n for _, n in chosen)} streams stay under the "
        f"claimed curve of epsilon {epsilon:g}; 95 % sure it is at least {seen:.2f} with no "
        f"assumption, {gaussian:.2f} assuming a Gaussian curve",
        measured=outcome.measured,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LowerBounds:
    """What a mechanism costs at least, each at 95 % confidence."""

    epsilon: float  # by no assumption
    mu: float  # of the trade-off curve, assuming that it is Gaussian
    gaussian_epsilon: float  # the epsilon that belongs to `mu`
    threshold: float


def lower_bounds(present: F64, absent: F64, delta: float) -> LowerBounds:
    """Bound the privacy loss from below; the threshold is fixed on the first half of the runs.

    `max(ln((TPR_lo - delta)/FPR_hi), ln((TNR_lo - delta)/FNR_hi))`, with Clopper-Pearson limits,
    each wrong with chance 2.5 %.
    """
    half = len(present) // 2
    if half == 0:
        return LowerBounds(epsilon=0.0, mu=0.0, gaussian_epsilon=0.0, threshold=0.0)
    both = np.sort(np.concatenate([present[:half], absent[:half]]))
    tried = both[np.linspace(0, len(both) - 1, CANDIDATES).astype(int)].tolist()
    chosen = [(*_losses(present[:half], absent[:half], t, delta), t) for t in tried]
    by_epsilon = max(chosen, key=lambda one: one[0])[2]
    by_mu = max(chosen, key=lambda one: one[1])[2]
    epsilon = max(0.0, _losses(present[half:], absent[half:], by_epsilon, delta)[0])
    mu = max(0.0, _losses(present[half:], absent[half:], by_mu, delta)[1])
    return LowerBounds(
        epsilon=epsilon,
        mu=mu,
        gaussian_epsilon=bounds.gaussian_epsilon(mu, delta),
        threshold=by_epsilon,
    )


def _losses(present: F64, absent: F64, threshold: float, delta: float) -> tuple[float, float]:
    """Return epsilon and mu, both from below, of the event "score above `threshold`"."""
    each = (1 - CONFIDENCE) / 2
    true_low, _ = bounds.clopper_pearson(int((present > threshold).sum()), len(present), each)
    _, false_high = bounds.clopper_pearson(int((absent > threshold).sum()), len(absent), each)
    losses = [0.0]
    for much, little in ((true_low, false_high), (1 - false_high, 1 - true_low)):
        if much > delta and little > 0.0:
            losses.append(math.log((much - delta) / little))
    return max(losses), bounds.probit(true_low) - bounds.probit(false_high)


def _impossible(
    present: F64, absent: F64, p: StreamParameters, level: Level, what: str
) -> list[str]:
    """Return a sentence where an event is likelier than the claim allows."""
    mu, times = math.sqrt(2 * p.rho), math.exp(p.epsilon)
    worst: tuple[float, str] = (0.0, "")
    for threshold in THRESHOLDS:
        for first, second, way in ((present, absent, "with"), (absent, present, "without")):
            each = level.take() / 2
            low, _ = bounds.chernoff_limits(int((first > threshold).sum()), len(first), each)
            _, high = bounds.chernoff_limits(int((second > threshold).sum()), len(second), each)
            most = min(bounds.trade_off(min(1.0, high + SPARE), mu) + SPARE, times * high + p.delta)
            if low - most > worst[0]:
                worst = (
                    low - most,
                    f"{what}: an event has chance {low:.3f} or more {way} the canary, where at "
                    f"most {most:.3f} can be",
                )
    return [worst[1]] if worst[1] else []


def _worlds(subject: Mechanism, p: StreamParameters, canary: Canary) -> _Worlds:
    d = p.dimension
    x = tuple(subject.step(np.array(canary.vector), 1.0))
    zero = (0,) * d
    others = [tuple(subject.step(np.roll(np.eye(d)[0], t), 1.0)) for t in range(canary.before)]
    after = [zero] * (p.band - 1)
    present = list(bands(p, [*others, x, *after]))
    absent = list(bands(p, [*others, zero, *after]))
    signals = [
        np.array([_mixed(p, band) for band in world], dtype=np.float64)
        for world in (present, absent)
    ]
    shift = signals[0] - signals[1]
    size = max(float(np.sqrt((shift**2).sum())), 1.0)
    at = canary.before
    state = decoder.StreamState.start(p)
    for y in signals[1][: at + 1]:
        state = decoder.advance(p, state, y)
    spread = math.sqrt(decoder.noise_variance(p, at + 1)) * p.grid
    direction = np.array(x, dtype=np.float64)
    direction /= max(float(np.linalg.norm(direction)), 1.0)
    return _Worlds(
        p=p,
        present=present,
        absent=absent,
        known=signals[1],
        weights=shift / (size * math.sqrt(p.sigma2)),
        at=at,
        towards=direction / spread,
        known_v=state.v,
    )


def _mixed(p: StreamParameters, band: list[Step]) -> list[int]:
    return [
        sum(c * int(step[i]) for c, step in zip(p.coefficients, band, strict=False))
        for i in range(p.dimension)
    ]


def _run(
    subject: Mechanism, worlds: _Worlds, world: list[list[Step]], n: int, randomness: Randomness
) -> tuple[F64, F64]:
    by_rows, by_profile = np.zeros(n), np.zeros(n)
    start = decoder.StreamState.start(worlds.p)
    for run in range(n):
        rows = np.array([subject.row(worlds.p, band, randomness) for band in world], np.float64)
        by_rows[run] = ((rows - worlds.known) * worlds.weights).sum()
        state = start
        for y in rows[: worlds.at + 1]:
            state = decoder.advance(worlds.p, state, y)
        by_profile[run] = (state.v - worlds.known_v) @ worlds.towards
    return by_rows, by_profile
