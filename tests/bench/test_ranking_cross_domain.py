"""What somebody did among one half of the films, and what they then choose among the other half.

The protocol is our own, since no public set has the same people in two catalogues with texts. The
items are split by genre, so that the halves differ in content as films and books do. Each half is
a catalogue with a space of its own: 48 and 32 dimensions, fitted on its own items and its own
publisher's users. How much popularity counts is chosen for each way on the publisher's users. A
device has seen the first half alone; held out is everything that its person
chose in the second half. `bridge` is what ships; `one space` is what the same behaviours are worth
when both halves share the second space; `popularity` knows nobody.
"""

import math

import numpy as np
import pytest

from ondevice.domain import Item
from ondevice.encoder.session import Encoder
from ondevice.formats.catalogue import Catalogue
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32
from ondevice.paths import bundled
from ondevice.privacy.stream import StreamParameters
from ondevice.profile import simulate
from ondevice.profile.base import FromRelease
from ondevice.profile.cross_domain import Abroad, evidence
from ondevice.profile.explain import Past
from ondevice.profile.release import Profile, profile
from ondevice.profile.steps import step_of
from ondevice.ranking.metrics import ndcg
from ondevice.ranking.score import F64, top_k
from tests.bench.test_ranking_quality import SETS, data, vectors_of

pytestmark = pytest.mark.bench
FIRST = {"Action", "Adventure", "Sci-Fi", "Thriller", "War", "Horror", "Western", "Film-Noir"}
LEAST, DEVICES = 5, 250
SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)  # of popularity


class Half:
    """A catalogue in its own space."""

    def __init__(
        self,
        rows: list[int],
        items: list[Item],
        vectors: F32,
        users: list[list[int]],
        dimension: int,
    ) -> None:
        self.place = {row: at for at, row in enumerate(rows)}
        own = vectors[rows].astype(np.float64)
        centre = own.mean(axis=0)
        _, _, directions = np.linalg.svd(own - centre, full_matrices=False)
        projected = (own - centre) @ directions[:dimension].T
        units = projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
        counts = np.zeros(len(rows))
        means = []
        for user in users:
            mine = [self.place[row] for row in user if row in self.place]
            counts[mine] += 1
            if mine:
                means.append(units[mine].mean(axis=0))
        people = np.array(means)
        self.space = Space(
            name=f"half-{dimension}",
            encoder=Encoder.load(bundled("encoder")).digest,
            centre=centre.astype(np.float32),
            projection=directions[:dimension].astype(np.float32),
            half_life=64,
            temperature=10.0,
            mean=people.mean(axis=0).astype(np.float32),
            between=np.cov(people.T).astype(np.float32),
            within=np.cov(units.T).astype(np.float32),
        )
        bias = (0.3 * np.log1p(counts)).astype(np.float32)
        self.catalogue = Catalogue.in_memory(
            [items[row] for row in rows], units.astype(np.float32), bias, self.space
        )


def released(units: F64, space: Space, epsilon: float, generator: np.random.Generator) -> Profile:
    """What a device releases after deeds with `units` (T, d)."""
    noisy = math.isfinite(epsilon)
    parameters = StreamParameters.for_budget(
        epsilon if noisy else 1.0, 1e-6, space.dimension, half_life=space.half_life
    )
    steps = np.array([step_of(unit, 1.0) for unit in units]).reshape(len(units), space.dimension)
    z = simulate.noise(parameters.sigma2, steps.shape, generator) if noisy else None
    v = simulate.values(parameters, steps, z) if len(units) else np.zeros(space.dimension)
    return profile(simulate.decoded(parameters, v, len(units), noisy=noisy), space, weight_mean=1.0)


def test_one_half_moves_the_other() -> None:
    folder = SETS / "ml100k"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    dataset = data.load(folder)
    vectors = vectors_of(dataset)
    split = data.split(dataset)
    topics = [{*item.tags, item.category} for item in dataset.items]
    first = [row for row, found in enumerate(topics) if found & FIRST]
    second = [row for row, found in enumerate(topics) if not found & FIRST]
    publisher = [list(rows) for rows in split.publisher]
    one = Half(first, list(dataset.items), vectors, publisher, 48)
    two = Half(second, list(dataset.items), vectors, publisher, 32)
    devices = [[*device.behaviours, *device.held_out] for device in split.devices[:DEVICES]]
    held, tuned = _people(devices, one, two), _people(publisher[:DEVICES], one, two)
    print(f"\nacross spaces: {len(held)} devices, {len(first)} and {len(second)} items, ndcg@10")
    for epsilon in (4.0, 8.0, math.inf):
        words = ""
        training = _ways(tuned, one, two, vectors, epsilon)
        found = _ways(held, one, two, vectors, epsilon)
        for name, lists in found.items():
            best = max(SCALES, key=lambda scale: _gain(training[name], tuned, two, scale))
            value = _gain(lists, held, two, best)
            assert 0 <= value <= 1
            words += f"   {name} {value:.4f} (x{best:g})"
        print(f"  epsilon {epsilon:<4g}{words}")


People = list[tuple[list[int], set[int]]]  # what each did in one half, and chose in the other


def _people(histories: list[list[int]], one: Half, two: Half) -> People:
    found = []
    for everything in histories:
        did = [row for row in everything if row in one.place]
        chose = {two.place[row] for row in everything if row in two.place}
        if len(did) >= LEAST and len(chose) >= LEAST:
            found.append((did, chose))
    return found


def _gain(taste: list[F64], people: People, two: Half, scale: float) -> float:
    popular = scale * two.catalogue.bias.astype(np.float64)
    gains = [
        ndcg(top_k(lean + popular, 10).tolist(), chose, 10)
        for lean, (_, chose) in zip(taste, people, strict=True)
    ]
    return float(np.mean(gains))


def _ways(
    people: People, one: Half, two: Half, vectors: F32, epsilon: float
) -> dict[str, list[F64]]:
    """Scores without popularity."""
    generator = np.random.default_rng(3)
    c = two.catalogue
    ways: dict[str, list[F64]] = {"popularity": [], "bridge": [], "one space": []}
    for did, _ in people:
        nobody = released(np.zeros((0, two.space.dimension)), two.space, epsilon, generator)
        units = one.catalogue.unit([one.place[row] for row in did]).astype(np.float64)
        there = released(units, one.space, epsilon, generator)
        abroad = Abroad(space=one.space, profile=there, past=Past.of(there, []))
        same = released(
            two.space.project(vectors[did]).astype(np.float64), two.space, epsilon, generator
        )
        more = evidence(nobody, two.space, [abroad])
        ways["popularity"].append(np.zeros(len(c)))
        for name, who, others in (("bridge", nobody, more), ("one space", same, ())):
            base = FromRelease(profile=who, catalogue=c, past=Past.of(who, []), more=others)
            ways[name].append(base.values - c.bias)
    return ways
