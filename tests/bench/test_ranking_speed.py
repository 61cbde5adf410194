"""100,000 items: from a profile to a re-ranked, explained first page. `make bench` prints it."""

import resource
import time
import tracemalloc
from datetime import date

import numpy as np
import pytest

from ondevice.config import Ranking
from ondevice.profile.pipeline import Wish
from tests.large_catalogue import first_page

pytestmark = pytest.mark.bench
COUNT = 100_000
TODAY = date(2026, 1, 1)


def test_first_page_of_a_large_catalogue() -> None:
    page = first_page(COUNT)
    ranking = Ranking(rating=0.2, recency=0.2, novelty=0.1, discovery=0.1, deny=("category:x",))
    shipped = Wish.of(Ranking(), today=TODAY)
    print(f"\nfirst page of {COUNT:,} items, CPU ms, median of 9")
    for name, wish, likes in (
        ("by score alone", Wish(), 0),
        ("as it ships", shipped, 0),
        ("every step on", Wish.of(ranking, today=TODAY), 0),
        ("as it ships, after 1 verdict", shipped, 1),
        ("as it ships, after 10 verdicts", shipped, 10),
    ):
        page(wish, likes)
        taken = []
        for _ in range(9):
            before = time.process_time()
            page(wish, likes)
            taken.append(1000 * (time.process_time() - before))
        tracemalloc.start()
        page(wish, likes)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        print(f"  {name:<34}{float(np.median(taken)):>8.1f}   at most {peak:.1f} MiB beside")
        assert peak < 64
    print(f"  resident {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
