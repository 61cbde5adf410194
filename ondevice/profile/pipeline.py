"""From scores to a list: every step in its order, the same for both views.

    scores → the best that rules allow → features → twins out → unlike ones → discoveries
           → steady against the last list → spaced

What a view may know comes in as arguments: this module sees no raw state (PRIVACY.md 1).
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from ondevice.config import Ranking
from ondevice.domain import Item
from ondevice.formats.catalogue import Catalogue
from ondevice.profile.release import Profile
from ondevice.ranking import diversify
from ondevice.ranking.features import feature_shares
from ondevice.ranking.fusion import fused
from ondevice.ranking.rules import Rules
from ondevice.ranking.score import F64, I64, top_k
from ondevice.ranking.traits import series_of, source_of, title_of

POOL = 120  # candidates at least
DEEP = 3  # candidates for each place
SOURCE_RUN = 2  # of one source in a row

PLAIN = Ranking(diversity=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A list that goes on below what was shown, and the scores at which rows got their places."""

    rows: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    pages: int = 0  # how many of `rows` have been on a page

    def before(self, places: int) -> tuple[int, ...]:
        """The rows of the pages that end at `places`; no later page shows them again."""
        return self.rows[: min(places, self.pages)]


NOTHING = Order()


OPEN = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a list is to be made; all of it public, or the owner's own."""

    ranking: Ranking = PLAIN
    rules: Rules = OPEN
    today: date | None = None
    spacing: bool = False  # of series and sources, and no twins

    @classmethod
    def of(cls, ranking: Ranking, *, today: date | None, rules: Rules | None = None) -> "Wish":
        """Everything on, as `ranking` says."""
        return cls(
            ranking=ranking,
            rules=Rules.of(ranking) if rules is None else rules,
            today=today,
            spacing=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One row of a list."""

    row: int
    score: float  # additive, with features
    found: bool = False  # a discovery


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page, and the order that it belongs to."""

    page: tuple[Placed, ...]
    order: Order
    twin_of: dict[int, int] = field(default_factory=dict)  # row left out → row that stands for it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool:
    """Candidates, best first."""

    rows: I64  # (m,)
    scores: F64  # (m,), with features
    items: tuple[Item, ...]

    def at(self, places: Sequence[int]) -> "Pool":
        """Return the candidates of `places`, in that order."""
        index = np.asarray(places, dtype=np.int64)
        return Pool(
            rows=self.rows[index],
            scores=self.scores[index],
            items=tuple(self.items[place] for place in places),
        )


def arrange(
    values: F64,
    catalogue: Catalogue,
    wish: Wish,
    *,
    excluded: AbstractSet[int],
    spread: float,
    last: Order = NOTHING,
    noise: Callable[[I64], F64] | None = None,
    touched: AbstractSet[int] = frozenset(),
    limit: int,
    page: int = 1,
) -> Listing:
    """Return one page of the list that `values` make.

    Args:
        values: (n,), the additive scores, without features.
        catalogue: n items.
        wish: how the list is to be made.
        excluded: rows to leave out.
        spread: standard deviation of the scores before anybody said anything.
        last: what was shown last. Its pages before this one are not shown again, and its order
            stands but for rows whose score changed by more than the noise.
        noise: rows (m,) → standard deviation of the noise in their scores (m,).
        touched: rows that moved because somebody said so.
        limit: places on a page.
        page: from 1.
    """
    fixed = last.before(limit * (page - 1))
    places = limit * page - len(fixed)
    target = max(POOL, DEEP * places)
    pool = candidates(values, catalogue, wish.rules, excluded | set(fixed), target)
    pool = rated(pool, catalogue, wish, spread)
    keep = set(last.rows[len(fixed) :])
    twin_of: dict[int, int] = {}
    if wish.spacing:
        pool, twin_of = distinct(pool, catalogue, keep)
    pool = unlike(pool, catalogue, wish.ranking.diversity, places, fixed)

    items = dict(zip(pool.rows.tolist(), pool.items, strict=True))
    scores = dict(zip(pool.rows.tolist(), pool.scores.tolist(), strict=True))
    order, found = diversify.discovered(
        [*fixed, *items],
        lambda row: items[row].category,
        share=wish.ranking.discovery,
        start=len(fixed),
    )
    moved = moved_rows(pool, last, noise) | touched
    order = [*fixed, *diversify.steady(order[len(fixed) :], last.rows[len(fixed) :], moved)]
    if wish.spacing:
        order = _spaced(order, {row: catalogue.records[row] for row in fixed[-2:]} | items, fixed)
    anchors = dict(zip(last.rows, last.scores, strict=True))
    shown = order[limit * (page - 1) : limit * page]
    return Listing(
        page=tuple(Placed(row=row, score=scores[row], found=row in found) for row in shown),
        order=Order(
            rows=tuple(order),
            scores=tuple(
                anchors[row] if row in anchors and row not in moved else scores[row]
                for row in order
            ),
            pages=min(limit * page, len(order)),
        ),
        twin_of=twin_of,
    )


def candidates(
    values: F64, catalogue: Catalogue, rules: Rules, excluded: AbstractSet[int], count: int
) -> Pool:
    """Return the `count` best rows that no rule refuses; fewer where there are no more."""
    asked = count
    while True:
        rows = top_k(values, asked, excluded)
        items = [catalogue.records[row] for row in rows.tolist()]
        allowed = [i for i, item in enumerate(items) if rules.empty or not rules.refusal(item)]
        if len(allowed) >= count or len(rows) < asked:
            break
        asked *= 4
    chosen = rows[np.asarray(allowed[:count], dtype=np.int64)]
    return Pool(
        rows=chosen,
        scores=values[chosen],
        items=tuple(items[i] for i in allowed[:count]),
    )


def rated(pool: Pool, catalogue: Catalogue, wish: Wish, spread: float) -> Pool:
    """Add the features, and sort again."""
    shares = feature_shares(
        pool.items, pool.rows, catalogue.bias, wish.ranking, spread=spread, today=wish.today
    )
    if not shares.any():
        return pool
    scores = pool.scores + shares.sum(axis=1)
    places = np.lexsort((pool.rows, -scores)).tolist()
    return Pool(rows=pool.rows, scores=scores, items=pool.items).at(places)


def distinct(
    pool: Pool, catalogue: Catalogue, keep: AbstractSet[int]
) -> tuple[Pool, dict[int, int]]:
    """Leave out what nearly equals a better one; of two, one in `keep` stays."""
    rows = pool.rows.tolist()
    answer = diversify.twins(
        [title_of(item) for item in pool.items],
        catalogue.unit(rows).astype(np.float64),
        first={place for place, row in enumerate(rows) if row in keep},
    )
    kept = [place for place, other in enumerate(answer) if other < 0]
    gone = {rows[place]: rows[other] for place, other in enumerate(answer) if other >= 0}
    return pool.at(kept), gone


def unlike(
    pool: Pool, catalogue: Catalogue, weight: float, count: int, fixed: Sequence[int]
) -> Pool:
    """Prefer what is not like what stands above."""
    if weight <= 0.0:
        return pool
    return pool.at(
        diversify.mmr(
            pool.scores,
            catalogue.unit(pool.rows.tolist()).astype(np.float64),
            weight=weight,
            count=count,
            before=catalogue.unit(list(fixed[-50:])).astype(np.float64) if fixed else None,
        )
    )


def moved_rows(pool: Pool, last: Order, noise: Callable[[I64], F64] | None) -> set[int]:
    """Return the rows whose score changed by more than the noise's standard deviation.

    A row that was not on the last list had at most its lowest score; so much it must exceed.
    """
    if not last.rows:
        return set(pool.rows.tolist())
    anchors = dict(zip(last.rows, last.scores, strict=True))
    floor = min(last.scores)
    bound = np.zeros(len(pool.rows)) if noise is None else noise(pool.rows)
    moved = set()
    for row, score, most in zip(
        pool.rows.tolist(), pool.scores.tolist(), bound.tolist(), strict=True
    ):
        change = abs(score - anchors[row]) if row in anchors else score - floor
        if change > most:
            moved.add(row)
    return moved


def noise_of(profile: Profile, catalogue: Catalogue, rows: I64) -> F64:
    """Return the standard deviation of the release's noise in the scores of `rows`, (m,)."""
    pull = catalogue.unit(rows.tolist()).astype(np.float64) @ profile.gain
    return np.asarray(profile.temperature * profile.noise_std * np.sqrt((pull * pull).sum(axis=1)))


def spread_of(values: F64) -> float:
    """Return the standard deviation of the scores of a catalogue."""
    return float(values.std()) if len(values) else 0.0


def _spaced(order: list[int], items: dict[int, Item], fixed: Sequence[int]) -> list[int]:
    """Series and sources apart; a source that most of the list comes from is none."""
    source = {row: source_of(item) for row, item in items.items()}
    names = list(source.values())
    common = {name for name in set(names) if 2 * names.count(name) > len(names)} | {""}
    order = diversify.spaced(
        order,
        lambda row: None if source.get(row, "") in common else source[row],
        start=len(fixed),
        run=SOURCE_RUN,
    )
    series = {row: series_of(item) for row, item in items.items()}
    return diversify.spaced(order, lambda row: series.get(row), start=len(fixed))


def further(base: F64, catalogue: Catalogue, *, spread: float) -> list[tuple[str, F64]]:
    """Return the name of each further vector space, and what it adds to the scores (n,).

    Args:
        base: (n,), scores without it.
        catalogue: whose items may have vectors there.
        spread: standard deviation of the scores.
    """
    return [
        (one.name, fused(base, one.codes, one.inverse_norms, weight=one.weight, spread=spread))
        for one in catalogue.named
    ]
