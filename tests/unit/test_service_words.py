"""What a person is told: numbers in, sentences out; and quality between measured rows."""

import pytest

from ondevice.formats.space import QualityRow
from ondevice.privacy.accountant import epsilon_of, odds, rho_of
from ondevice.privacy.cadence import words as pace
from ondevice.profile.expected import Expected, expected
from ondevice.service import words

TABLE = (
    QualityRow(epsilon=1.0, behaviours=10, ndcg=0.10),
    QualityRow(epsilon=4.0, behaviours=10, ndcg=0.14),
    QualityRow(epsilon=1.0, behaviours=100, ndcg=0.12),
    QualityRow(epsilon=4.0, behaviours=100, ndcg=0.18),
    QualityRow(epsilon=1000.0, behaviours=100, ndcg=0.20),
)


@pytest.mark.parametrize(
    ("epsilon", "behaviours", "ndcg", "inside"),
    [
        (1.0, 10, 0.10, True),
        (4.0, 100, 0.18, True),
        (2.0, 10, 0.12, True),  # the middle of 1 and 4, as they multiply
        (4.0, 0, 0.14, False),
        (8.0, 1000, 0.18, False),
        (0.1, 10, 0.10, False),
    ],
)
def test_quality_lies_between_measured_rows(
    epsilon: float, behaviours: int, ndcg: float, inside: bool
) -> None:
    found = expected(TABLE, epsilon=epsilon, behaviours=behaviours)
    assert found is not None
    assert found.ndcg == pytest.approx(ndcg)
    assert found.inside is inside
    assert found.without_noise == 0.20


def test_more_of_either_is_never_worse_where_the_table_says_so() -> None:
    last = 0.0
    for behaviours in (10, 20, 40, 80, 100):
        for_each = [
            found.ndcg
            for epsilon in (1.0, 1.5, 2.5, 4.0)
            if (found := expected(TABLE, epsilon=epsilon, behaviours=behaviours))
        ]
        assert for_each == sorted(for_each)
        assert for_each[0] > last or behaviours == 10
        last = for_each[0]


def test_what_was_not_measured_is_said_so() -> None:
    assert expected((), epsilon=4.0, behaviours=80) is None
    told = words.quality(None, epsilon=4.0, behaviours=80)
    assert (
        told
        == "Expected quality at epsilon 4 after 80 things you did: not measured for this space."
    )
    assert "0." not in told


def test_what_was_measured_is_said_with_its_edge() -> None:
    found = Expected(ndcg=0.153, without_noise=0.178, inside=False)
    told = words.quality(found, epsilon=4.0, behaviours=1)
    assert "after 1 thing you did" in told
    assert "0.153" in told
    assert "0.178 without noise" in told
    assert "nearest that was measured" in told
    assert "nearest" not in words.quality(TABLE_ANSWER, epsilon=4.0, behaviours=100)


TABLE_ANSWER = Expected(ndcg=0.18, without_noise=None, inside=True)


def test_even_odds_at_the_default_become_what_was_promised() -> None:
    told = words.odds(times=odds(rho_of(4.0, 1e-6), 1e-6), unit="behaviour")
    assert "86 times surer" in told
    assert "98.9% at most" in told
    assert "everything you did on one day" in words.odds(times=3.0, unit="day")
    assert "75.0%" in words.odds(times=3.0, unit="day")


def test_three_things_cost_nine_times_as_much() -> None:
    rho = rho_of(4.0, 1e-6)
    told = words.together(
        epsilon=epsilon_of(9 * rho, 1e-6), times=odds(9 * rho, 1e-6), unit="behaviour"
    )
    assert "3 things of one deed" in told
    assert "9 times as much, epsilon 14" in told
    assert "no useful limit" in told
    assert "no useful limit" not in words.together(epsilon=2.0, times=8.5, unit="day")


def test_what_is_not_hidden_depends_on_the_clock() -> None:
    plain = words.not_hidden(unit="behaviour", pace=None)
    assert "when your list moved" in plain
    assert "shared_clock" in plain
    clocked = words.not_hidden(unit="behaviour", pace=pace(3600))
    assert "Every hour brings one step" in clocked
    assert "when it ran again" in clocked
    assert "whether something happened on a day" in words.not_hidden(unit="day", pace="day")


@pytest.mark.parametrize(
    ("seconds", "said"), [(60, "minute"), (900, "15 minutes"), (3600, "hour"), (172_800, "2 days")]
)
def test_a_pace_in_words(seconds: int, said: str) -> None:
    assert pace(seconds) == said


def test_what_waits() -> None:
    assert words.waits(1, "hour").startswith("1 thing waits for the end of the hour")
    assert words.waits(3, "day").startswith("3 things wait")
