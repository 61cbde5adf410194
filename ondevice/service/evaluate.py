"""How good lists are for this person: leave the last ones out, on the device's own history.

Nothing is written and nothing is released: the stream that is simulated here lives in memory, its
noise is thrown away, and the figures are for the owner's eyes only. They come from raw history, so
no other view may show them.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ondevice.errors import NotReadyError
from ondevice.service import inputs
from ondevice.service.session import Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ondevice.formats.catalogue import Catalogue

K = 10
LEAST = 5  # deeds about items that it takes
HELD_OUT = 20  # of the newest, each left out once, at most
DRAWS = 5  # of the noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to rank, and how often it found what the person did next."""

    name: str  # ours | exact | popularity
    epsilon: float | None  # None: without noise
    ndcg: float
    hr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The figures of one catalogue."""

    catalogue: str
    behaviours: int  # about items of it
    held_out: int
    candidates: int  # items that could have been listed, on average
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, with the names that the publisher's evaluation uses."""
        rows = []
        for row in self.rows:
            table = asdict(row)
            rows.append(
                {"name": table["name"], "epsilon": table["epsilon"], "view": "owner"}
                | {f"ndcg@{K}": table["ndcg"], f"hr@{K}": table["hr"]}
            )
        return {**asdict(self), "rows": rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deed:
    row: int | None  # of the catalogue; None: of another one, or free text
    weight: float
    vector: "NDArray[np.float64]"


def evaluate(session: Session, *, catalogue: str | None = None) -> Evaluation:
    """Leave each of the newest deeds out once, and see where lists made before it rank it.

    `ours` is the private profile by the mechanism of this home at its epsilon, a mean over a few
    draws of the noise; `exact` ranks by raw history; `popularity` knows nobody. All candidates are
    ranked, by score alone, without what was done before.

    Raises:
        NotReadyError: too little was done with items of the catalogue.
    """
    import numpy as np

    from ondevice.ranking.metrics import hit_rate, ndcg
    from ondevice.ranking.score import top_k

    chosen = session.pick(catalogue)
    deeds = _deeds(session, chosen)
    places = [i for i, deed in enumerate(deeds) if deed.row is not None and deed.weight > 0]
    if len(places) < LEAST:
        raise NotReadyError(
            f"{len(places)} things about items of '{chosen.manifest.catalogue}' are too few: it "
            f"takes {LEAST}",
            hint="go on using it, or name another: --catalogue ID",
        )
    tests = [place for place in places[-HELD_OUT:] if place > 0]
    ways = _ways(session, chosen, len(deeds))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    candidates = 0
    for place in tests:
        wanted = deeds[place].row
        known = {deed.row for deed in deeds[:place] if deed.row is not None} - {wanted}
        candidates += len(chosen) - len(known)
        for name, way in ways.items():
            for values in way(deeds[:place]):
                rows = top_k(values, K, known).tolist()
                relevant = {wanted if wanted is not None else -1}
                found[name].append((ndcg(rows, relevant, K), hit_rate(rows, relevant, K)))
    return Evaluation(
        catalogue=chosen.manifest.catalogue,
        behaviours=len(places),
        held_out=len(tests),
        candidates=round(candidates / len(tests)),
        rows=tuple(
            Row(
                name=name,
                epsilon=session.config.epsilon if name == "ours" else None,
                ndcg=float(np.mean([gain for gain, _ in figures])),
                hr=float(np.mean([hit for _, hit in figures])),
            )
            for name, figures in found.items()
        ),
    )


_Way = Callable[[list[_Deed]], "list[NDArray[np.float64]]"]


def _deeds(session: Session, catalogue: "Catalogue") -> list[_Deed]:
    """What is known in the catalogue's space, oldest first."""
    history, rows = inputs.raw_history(session, catalogue)
    return [
        _Deed(row=row, weight=weight, vector=vector)
        for row, weight, vector in zip(rows, history.weights, history.vectors, strict=True)
    ][::-1]


def _ways(session: Session, catalogue: "Catalogue", longest: int) -> dict[str, _Way]:
    import numpy as np

    from ondevice.privacy.discrete_gaussian import sample
    from ondevice.privacy.randomness import SystemRandomness
    from ondevice.profile import exact, simulate
    from ondevice.profile.base import FromRelease
    from ondevice.profile.explain import Past
    from ondevice.profile.release import profile
    from ondevice.profile.steps import step_of
    from ondevice.service.private import MEAN_WEIGHT
    from ondevice.service.streams import parameters_of

    space = catalogue.space
    parameters = parameters_of(session, space)
    randomness = SystemRandomness()
    shape = (DRAWS, longest, space.dimension)
    noise = np.array(
        sample(parameters.sigma2, math.prod(shape), randomness), dtype=np.int64
    ).reshape(shape)
    known: dict[int, tuple[int, ...]] = {}

    def ours(deeds: list[_Deed]) -> "list[NDArray[np.float64]]":
        steps = np.array(
            [known.setdefault(id(deed), step_of(deed.vector, deed.weight)) for deed in deeds]
        )
        lists = []
        for drawn in noise:  # the same for every list that is made: a mean over draws, not deeds
            v = simulate.values(parameters, steps, drawn[: len(steps)])
            decoded = simulate.decoded(parameters, v, len(steps))
            released = profile(decoded, space, weight_mean=MEAN_WEIGHT)
            past = Past.of(released, [])
            lists.append(FromRelease(profile=released, catalogue=catalogue, past=past).values)
        return lists

    def raw(deeds: list[_Deed]) -> "list[NDArray[np.float64]]":
        newest = deeds[::-1]
        history = exact.History(
            labels=("",) * len(newest),
            vectors=np.array([deed.vector for deed in newest]).reshape(-1, space.dimension),
            weights=np.array([deed.weight for deed in newest]),
        )
        return [exact.exact_base(history, catalogue).values]

    def popular(_: list[_Deed]) -> "list[NDArray[np.float64]]":
        return [catalogue.bias.astype(np.float64)]

    return {"ours": ours, "exact": raw, "popularity": popular}
