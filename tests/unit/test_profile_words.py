"""Words in common: rare ones count more, small ones don't, and the weight is the space's."""

from dataclasses import replace

import numpy as np
import pytest

from ondevice.errors import NotReadyError
from ondevice.profile.words import Words, tokens, weight_of
from tests.publishing import small_space

TEXTS = (
    "A brass lamp for the desk",
    "The brass kettle",
    "A lamp, a lamp!",
    "",
    "novel",
)


def test_small_words_and_single_letters_say_nothing() -> None:
    assert tokens("The Lamp of x and Ünder-Glas 2") == ["lamp", "ünder", "glas"]


def test_likeness_is_the_cosine_by_hand() -> None:
    words = Words.of(TEXTS)
    names = ["brass", "lamp", "desk", "kettle", "novel"]
    holders = np.array([2, 2, 1, 1, 1])
    rarity = 1 + np.log(6 / (1 + holders))
    counts = np.array(
        [[1, 1, 1, 0, 0], [1, 0, 0, 1, 0], [0, 2, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    )
    said = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * rarity
    rows = said / np.maximum(np.linalg.norm(said, axis=1, keepdims=True), 1e-12)
    history = 0.5 * rows[1] + rows[4]
    expected = rows @ history / np.linalg.norm(history)

    got = words.likeness({1: 0.5, 4: 1.0})

    assert (len(words), words.vocabulary) == (5, len(names))
    assert got == pytest.approx(expected, abs=1e-12)
    assert got[0] > got[2] == 0.0


def test_a_history_without_words_is_like_nothing() -> None:
    words = Words.of(TEXTS)
    assert words.likeness({}).tolist() == [0.0] * 5
    assert words.likeness({3: 1.0}).tolist() == [0.0] * 5
    assert Words.of(()).likeness({}).tolist() == []


def test_a_space_says_how_much_words_count() -> None:
    space = small_space()
    three = np.array([3.0], dtype=np.float32)
    assert weight_of(space) == 0.0
    assert weight_of(replace(space, lexical={"weight": three})) == 3.0
    for other in ({}, {"weight": three, "more": three}, {"weight": three[None]}):
        with pytest.raises(NotReadyError, match="reads words in a way"):
            weight_of(replace(space, lexical=other))
