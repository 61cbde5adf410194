"""The sample person's list is about what the sample person likes, whatever the noise."""

import tomllib

import pytest

from ondevice.paths import bundled
from ondevice.service.demo import demo_session
from ondevice.service.recommend import recommend

DRAWS = 20
AT_LEAST = 19  # draws in which most of the list hits
HITS = 6  # of the first ten items


def interests(catalogue: str) -> set[str]:
    persona = tomllib.loads((bundled("demo") / "persona.toml").read_text(encoding="utf-8"))
    return set(persona["interests"][catalogue])


@pytest.mark.slow
def test_most_of_the_first_ten_hit_the_interests_in_nineteen_of_twenty_draws() -> None:
    hits = []
    for _ in range(DRAWS):
        with demo_session() as session:  # a new home each time: new noise on the same deeds
            shown = recommend(session, limit=10)
        liked = interests(shown.catalogue)
        hits.append(sum(one.item.category in liked for one in shown.items))

    assert len(hits) == DRAWS
    assert sum(count >= HITS for count in hits) >= AT_LEAST, sorted(hits)


def test_the_default_list_is_of_the_catalogue_with_most_deeds() -> None:
    with demo_session() as session:
        shown = recommend(session, limit=10)

    assert shown.catalogue == "films-and-books"
    assert shown.steps == 80
    assert shown.notes == ()
