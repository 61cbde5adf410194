"""What every recommender is held against; the same candidates, devices and lists.

`popularity`, `itemknn` and `ease` learn from the publisher's users. `tfidf`, `zero_shot` and
`teacher` only read texts: they rank by the cosine with a decayed mean of what the device saw.
None of them keeps anything private.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice.formats.tensors import F32
from server_tools.evaluate.data import Device, device
from server_tools.evaluate.measure import F64, Bench, Scorer

NEIGHBOURS = 100  # of itemknn
RIDGES = (10.0, 100.0, 300.0, 1000.0)  # EASE picks the one that its own users speak for
VALIDATION = 5  # every fifth of the publisher's users helps to pick
HALF_LIFE = 64  # steps

Histories = Sequence[Sequence[int]]


def counts(histories: Histories, items: int) -> F64:
    """Return how many of `histories` hold each item, (n,)."""
    found = np.zeros(items)
    for rows in histories:
        found[list(rows)] += 1
    return found


def popularity(histories: Histories, items: int) -> Scorer:
    """The same list for everybody: what most of the publisher's users chose."""
    fixed = counts(histories, items)
    return lambda _: fixed


def tfidf(texts: Sequence[str]) -> Scorer:
    """Words in common, rare ones counting more (scikit-learn)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words: Any = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit_transform(texts)

    def score(one: Device) -> F64:
        rows = list(one.behaviours)
        profile = words[rows].T @ decay(len(rows))
        return np.asarray(words @ profile, dtype=np.float64)

    return score


def cosine(vectors: F32) -> Scorer:
    """Encoder and cosine alone: vectors (n, e) are centred on their own mean."""
    centred = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    units = centred / np.maximum(lengths, np.finfo(np.float32).tiny)

    def score(one: Device) -> F64:
        profile = decay(len(one.behaviours)) @ units[list(one.behaviours)]
        return np.asarray(units @ profile, dtype=np.float64)

    return score


def itemknn(histories: Histories, items: int) -> Scorer:
    """Items chosen by the same people: cosine, 100 neighbours (implicit)."""
    from implicit.nearest_neighbours import CosineRecommender

    model = CosineRecommender(K=NEIGHBOURS, num_threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a conversion that is its own
        model.fit(_matrix(histories, items), show_progress=False)
    near: Any = model.similarity.tocsr()

    def score(one: Device) -> F64:
        return np.asarray(near[list(one.behaviours)].sum(axis=0), dtype=np.float64).ravel()

    return score


class Ease:
    """The closed form of an item-to-item linear autoencoder without a diagonal.

    B_ij = -P_ij / P_jj for i != j, with P = (X^T X + ridge I)^-1. P is never formed: by Woodbury
    it is (I - X^T K X) / ridge with K = (ridge I + X X^T)^-1, which is as large as there are users.
    Source: Steck 2019, arXiv:1905.03375.
    """

    def __init__(self, histories: Histories, items: int, *, ridge: float) -> None:
        self._x: Any = _matrix(histories, items).astype(np.float64)
        gram = (self._x @ self._x.T).toarray() + ridge * np.eye(len(histories))
        self._kernel = np.linalg.inv(gram)
        self._ridge = ridge
        across = self._x.T @ self._kernel  # (n, users)
        self._diagonal = (1.0 - np.asarray(self._x.T.multiply(across).sum(axis=1)).ravel()) / ridge

    def __call__(self, one: Device) -> F64:
        """Return the scores (n,) of all items."""
        rows = list(one.behaviours)
        chosen = np.zeros(self._x.shape[1])
        chosen[rows] = 1.0
        through = chosen - self._x.T @ (self._kernel @ (self._x @ chosen))
        scores = -through / (self._ridge * self._diagonal)
        scores[rows] += 1.0  # B has no diagonal
        return np.asarray(scores)


def ease(histories: Histories, items: int, bench: Callable[[Sequence[Device]], Bench]) -> Scorer:
    """`Ease` with the ridge that ranks best for some of the publisher's users, held out.

    Args:
        histories: rows of the publisher's users.
        items: n.
        bench: makes a bench of other devices.
    """
    learn = [rows for n, rows in enumerate(histories) if n % VALIDATION]
    held = [device(str(n), tuple(rows)) for n, rows in enumerate(histories) if not n % VALIDATION]
    judge = bench(held)
    if not learn or not held:
        return Ease(histories, items, ridge=RIDGES[1])
    found = {ridge: judge.figures(Ease(learn, items, ridge=ridge)).total().ndcg for ridge in RIDGES}
    return Ease(histories, items, ridge=max(found, key=lambda ridge: found[ridge]))


def decay(steps: int) -> NDArray[np.float64]:
    """Return the weights of `steps` behaviours, oldest first; they sum to 1."""
    weights = 0.5 ** (np.arange(steps)[::-1] / HALF_LIFE)
    return np.asarray(weights / weights.sum())


def _matrix(histories: Histories, items: int) -> Any:
    from scipy.sparse import csr_matrix

    rows = np.concatenate([np.asarray(h, dtype=np.int64) for h in histories])
    users = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
    shape = (len(histories), items)
    return csr_matrix((np.ones(len(rows), dtype=np.float32), (users, rows)), shape=shape)
