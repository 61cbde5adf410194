"""A large catalogue in memory, and a person's first page of it, for benches and budgets."""

from collections.abc import Callable

import numpy as np

from ondevice.domain import Item, Verdict
from ondevice.formats import space
from ondevice.formats.catalogue import Catalogue
from ondevice.paths import bundled
from ondevice.privacy.decoder import decode
from ondevice.privacy.randomness import SystemRandomness
from ondevice.privacy.stream import StreamParameters, row
from ondevice.profile.base import FromRelease
from ondevice.profile.explain import Past
from ondevice.profile.owner_view import Owner
from ondevice.profile.pipeline import Wish
from ondevice.profile.release import profile
from ondevice.profile.steps import step_of

STEPS = 80


class Told:
    """One step, for an explanation."""

    def __init__(self, label: str, age: int, x: tuple[int, ...]) -> None:
        self.label, self.age, self.x = label, age, x


def first_page(count: int) -> Callable[[Wish, int], list[str]]:
    """Return a function of how a list is made and of how many likes: the ten reasons."""
    base = space.read(bundled("space"))
    generator = np.random.default_rng(1)
    centres = generator.standard_normal((200, base.dimension))
    vectors = centres[generator.integers(200, size=count)]
    vectors = (vectors + 0.7 * generator.standard_normal(vectors.shape)).astype(np.float32)
    units = np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
    items = [
        Item(
            id=str(n),
            title=f"Thing {n % 7000} part {n % 3}",
            category=f"kind {n % 40}",
            rating=2.0 + n % 4,
            date=f"{1990 + n % 35}",
        )
        for n in range(count)
    ]
    bias = (0.1 * generator.standard_normal(count)).astype(np.float32)
    catalogue = Catalogue.in_memory(items, units, bias, base)
    parameters = StreamParameters.for_budget(4.0, 1e-6, base.dimension)
    steps = [step_of(catalogue.unit([17 * t])[0], 1.0) for t in range(STEPS)]
    source = SystemRandomness()
    rows = [row(parameters, steps[max(0, t - 63) : t + 1][::-1], source) for t in range(STEPS)]
    told = [Told(f"you liked “{t}”", STEPS - 1 - t, steps[t]) for t in range(STEPS)]
    released = profile(decode(parameters, rows), base)

    def page(wish: Wish, likes: int) -> list[str]:
        owner = Owner(
            base=FromRelease(profile=released, catalogue=catalogue, past=Past.of(released, told)),
            catalogue=catalogue,
            wish=wish,
            seen=frozenset(range(0, 17 * STEPS, 17)),
            overlay=[(5 + 100 * n, Verdict.LIKE) for n in range(likes)],
            steps=STEPS,
        )
        listed = owner.listing(limit=10)
        return [owner.because(one.row, found=one.found).line for one in listed.page]

    return page
