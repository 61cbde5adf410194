"""Texts, vocabulary, schedule and recipes of a distillation: the pure parts."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ondevice.errors import ConfigError
from server_tools import recipe as recipes
from server_tools.distill import corpus, near, schedule, sts, vocabulary
from server_tools.distill.command import teacher_folder
from server_tools.distill.targets import Targets
from server_tools.recipe import NearRecipe, TextsRecipe, TrainingRecipe
from tests.server import small_teacher
from tests.server.small_teacher import LETTERS, WORDS, Small


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_teacher.make(tmp_path_factory.mktemp("small"))


def test_lines_are_distinct_tidy_and_wordy(small: Small) -> None:
    recipe = TextsRecipe(pool=100, shares={"short": 1.0, "long": 1.0})
    corpora = corpus.read(small.data, recipe)

    lines = [line for each in corpora for line in each.lines]
    assert len(lines) == len(set(lines)) > 300
    assert "12" not in lines
    assert corpus.tidy("  a &amp;\tb\u00a0c ", limit=99) == "a & b c"
    assert corpus.tidy("one two three", limit=9) == "one two"


def test_shares_are_kept_and_what_a_small_corpus_lacks_goes_to_the_others() -> None:
    small_one = corpus.Corpus(name="a", lines=tuple("abc"), digest="")
    large = corpus.Corpus(name="b", lines=tuple(map(str, range(1000))), digest="")

    quota = corpus.quotas([small_one, large], TextsRecipe(pool=200, shares={"a": 1.0, "b": 1.0}))

    assert quota["a"] == 3
    assert 195 <= quota["b"] <= 197


def test_a_mix_is_decided_by_its_seed(small: Small) -> None:
    recipe = TextsRecipe(
        pool=150, shares={"short": 1.0, "long": 1.0}, joined=0.3, composed=0.3, clipped=0.2
    )
    corpora = corpus.read(small.data, recipe)

    texts = corpus.mix(corpora, recipe, seed=1)

    assert texts == corpus.mix(corpora, recipe, seed=1) != corpus.mix(corpora, recipe, seed=2)
    assert len(texts) == len(set(texts)) > 120
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) <= 2
    assert max(lengths) > 20
    assert any(". " in text for text in texts)


LINES = (
    "a man is riding a horse near the river",
    "the dog is chasing the ball in the garden",
    "lamp: a source of light",
    "lantern: a source of light",
    "A woman was reading a letter at the window.",
    "the old violin lies on the table",
)


def test_a_family_is_one_sentence_and_small_changes_of_it() -> None:
    words = near.lexicon(LINES * 3)
    plan = NearRecipe(families=200, invented=0.3)

    made = near.families(LINES, words, plan, seed=4)

    assert (
        made
        == near.families(LINES, words, plan, seed=4)
        != near.families(LINES, words, plan, seed=5)
    )
    assert all(len(set(family)) == len(family) > 1 for family in made)
    shared = [
        len(set(family[0].lower().split()) & set(other.lower().split()))
        / len(set(family[0].lower().split()))
        for family in made
        for other in family[1:]
    ]
    assert sum(shared) / len(shared) > 0.55
    texts = {text for family in made for text in family}
    assert any(" not " in text for text in texts)
    assert any(text not in LINES for family in made for text in family[:1])


def test_words_that_are_explained_alike_stand_for_each_other() -> None:
    words = near.lexicon(LINES * 3)

    assert set(words.mates["lamp"]) == {"lantern"}
    assert ("riding", "a", "horse") in words.actions
    assert "near the river" in words.places


def test_a_pool_with_neighbours_keeps_families_together(small: Small) -> None:
    recipe = TextsRecipe(
        pool=120,
        shares={"short": 1.0, "long": 1.0},
        neighbours=2,
        near=NearRecipe(families=20, corpora=("long",)),
    )
    pool = corpus.gather(corpus.read(small.data, recipe), recipe, seed=3)

    assert len(pool.texts) == len(set(pool.texts)) == len(pool.families) == len(pool.domains)
    assert list(pool.families) == sorted(pool.families)
    assert set(pool.domains) == {0, 1, 2}
    for family in set(pool.families):
        rows = [row for row, each in enumerate(pool.families) if each == family]
        assert len({pool.domains[row] for row in rows}) == 1

    families, domains = np.asarray(pool.families), np.asarray(pool.domains)
    lengths = [len(text.split()) for text in pool.texts]
    rows_ = schedule.chunk_rows(
        schedule.Position(epoch=1), texts=len(families), size=999, seed=1, families=families
    )
    assert sorted(rows_) == list(range(len(families)))
    assert not np.array_equal(rows_, np.arange(len(families)))
    for chunk, mixed in ((0, True), (1, False)):
        cut = schedule.batches(
            rows_,
            [lengths[row] for row in rows_],
            schedule.Position(chunk=chunk),
            size=16,
            seed=1,
            families=families[rows_],
            domains=domains[rows_],
        )
        assert sorted(np.concatenate(cut)) == list(range(len(families)))
        several = sum(len(set(domains[batch])) > 1 for batch in cut)
        assert several > len(cut) / 2 if mixed else several <= 2


def test_later_keys_at_their_defaults_leave_a_digest_as_it_was(small: Small) -> None:
    plain = recipes.read(small.recipe("plain.toml"))
    spelt = recipes.read(
        small.recipe("spelt.toml", student="intermediate = 0", quantise="word_bits = 8")
    )
    other = recipes.read(small.recipe("narrow.toml", student="intermediate = 8"))

    assert plain.digest == spelt.digest != other.digest
    assert plain.training_digest == spelt.training_digest != other.training_digest


def test_a_missing_corpus_is_named(small: Small) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        corpus.read(small.data, TextsRecipe(pool=1, shares={"nowhere": 1.0}))


@pytest.fixture(scope="module")
def tokenizers(small: Small) -> tuple[Tokenizer, Tokenizer, list[int]]:
    teacher = vocabulary.load(small.teacher, max_tokens=64)
    use = [float(index % 7) for index in range(teacher.get_vocab_size())]
    text, kept = vocabulary.trim(teacher, use, size=72)
    return teacher, Tokenizer.from_str(text), kept


def test_a_trimmed_vocabulary_keeps_specials_characters_and_what_they_cannot_spell(
    tokenizers: tuple[Tokenizer, Tokenizer, list[int]],
) -> None:
    teacher, trimmed, kept = tokenizers

    known = trimmed.get_vocab()
    assert trimmed.get_vocab_size() == len(kept) == 72
    assert {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##☃☄"} <= known.keys()
    assert "[unused0]" not in known
    assert {*LETTERS, *("##" + letter for letter in LETTERS)} <= known.keys()
    for token, new in known.items():
        assert teacher.token_to_id(token) == kept[new]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abcdeklmprt .," + "é☃", max_size=30), st.sampled_from(WORDS))
def test_no_text_the_teacher_reads_becomes_unknown(
    tokenizers: tuple[Tokenizer, Tokenizer, list[int]], text: str, word: str
) -> None:
    teacher, trimmed, _ = tokenizers
    whole = f"{text} {word}{text}"

    read, ours = teacher.encode(whole), trimmed.encode(whole)
    assert Counter(ours.tokens)["[UNK]"] == Counter(read.tokens)["[UNK]"]
    assert ours.ids[0] == trimmed.token_to_id("[CLS]")
    assert ours.ids[-1] == trimmed.token_to_id("[SEP]")


def test_the_shipped_vocabulary_reads_what_the_teacher_reads(shared_data: Path) -> None:
    from ondevice.paths import bundled

    recipe = recipes.read(bundled("encoder") / "recipe.toml")
    teacher = vocabulary.load(teacher_folder(recipe.teacher, None), max_tokens=10_000)
    ours = vocabulary.load(bundled("encoder"), max_tokens=10_000)
    texts = [
        json.loads(line)["text"]
        for path in sorted((shared_data / "eval").glob("*/items.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()[:400]
    ]

    assert len(texts) > 1000
    for text in texts:
        assert ours.encode(text).tokens.count("[UNK]") == teacher.encode(text).tokens.count("[UNK]")


def test_the_shipped_vocabulary_spells_the_words_of_latin_alphabets() -> None:
    words = vocabulary.load(Path("models/encoder"), max_tokens=128)
    rare = set("ĲĳĸĿŀŉŦŧſ")  # the teacher cannot read these either

    for code in range(0xC0, 0x180):
        letter = chr(code)
        if letter.isalpha() and letter not in rare:
            assert vocabulary.UNKNOWN not in words.encode(f"{letter} x{letter}y").tokens, letter
    mixed = words.encode("Łódź straße 你好 lamp \U0001f600 Ω").tokens
    assert "lamp" in mixed


def test_a_vocabulary_too_small_to_spell_is_refused(small: Small) -> None:
    teacher = vocabulary.load(small.teacher, max_tokens=64)

    with pytest.raises(ConfigError, match="too small"):
        vocabulary.trim(teacher, [0.0] * teacher.get_vocab_size(), size=20)


def test_frequencies_balance_corpora_by_share() -> None:
    counts = {"large": Counter({0: 900, 1: 100}), "small": Counter({2: 1})}

    use = vocabulary.frequencies(counts, {"large": 1.0, "small": 1.0}, prior=0.0, size=4)

    assert use == pytest.approx([0.45, 0.05, 0.5, 0.0])
    prior = vocabulary.frequencies(counts, {"large": 1.0, "small": 1.0}, prior=1.0, size=4)
    assert prior == sorted(prior, reverse=True)
    assert sum(prior) == pytest.approx(1.0)


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    plan = TrainingRecipe(views=1000, decay=400, warm_up=100, batch=10, rate=1.0)
    rates = [schedule.rate(views, plan) for views in range(0, 1001, 10)]

    assert rates[0] == pytest.approx(0.1)
    assert rates[10:60] == [1.0] * 50
    assert rates[60:] == sorted(rates[60:], reverse=True)
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)


@given(texts=st.integers(1, 90), size=st.integers(1, 40), chunk=st.integers(1, 50))
def test_each_pass_visits_every_text_once(texts: int, size: int, chunk: int) -> None:
    position, seen = schedule.Position(), Counter[int]()
    chunks = -(-texts // chunk)
    while position.epoch < 2:
        rows = schedule.chunk_rows(position, texts=texts, size=chunk, seed=5)
        todo = schedule.batches(rows, [row % 7 for row in rows], position, size=size, seed=5)
        batch = todo[position.batch]
        seen.update(batch.tolist())
        position = schedule.after(
            position, seen=len(batch), batches_in_chunk=len(todo), chunks=chunks
        )

    assert seen == Counter(dict.fromkeys(range(texts), 2))
    assert position.views == 2 * texts


def test_targets_are_computed_once_and_survive_a_restart(tmp_path: Path) -> None:
    asked: list[int] = []

    def teach(texts: Sequence[str]) -> Any:
        asked.append(len(texts))
        return np.array([[len(text), 1.0] for text in texts])

    texts = ["x" * length for length in range(10)]
    first = Targets(tmp_path, texts, width=2, chunk=4, teach=teach)
    assert first.rows(np.array([9, 1]))[:, 0].tolist() == [9.0, 1.0]
    assert asked == [4, 2]
    again = Targets(tmp_path, texts, width=2, chunk=4, teach=teach)
    assert again.rows(np.array([0, 8, 5]))[:, 0].tolist() == [0.0, 8.0, 5.0]
    assert asked == [4, 2, 4]


def test_rank_correlation_agrees_with_scipy() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 9, 200).astype(float), rng.normal(size=200)

    expected = spearmanr(left, right).statistic
    assert sts.rank_correlation(left, right) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("text", ["", "score\ta\tb\n", "score\ta\tb\n1\tonly one\n"])
def test_malformed_pairs_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(text)

    with pytest.raises(ConfigError):
        sts.read(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed = 7", "seed = 7\nsped = 1", "unknown key 'sped'"),
        ("seed = 7", 'seed = "7"', "seed must be int"),
        ("seed = 7", "seed = true", "seed must be int"),
        ("batch = 16", "batch = 1.5", "batch must be int"),
        ("batch = 16", "batch = 0", "greater than 0"),
        ("layers = [0, 2]", "layers = [0, 'x']", "layers must be int"),
        ("layers = [0, 2]", "layers = []", "no layer"),
        ("layers = [0, 2]", "", "lacks the key 'layers'"),
        ("decay = 160", "decay = 4000", "decay must lie"),
        ("joined = 0.2", "joined = 0.9", "at most 1"),
        ("short = 1.0", "short = -1.0", "no negative share"),
        ("[measure]", "[[measure]]", "must be a table"),
        ("seed = 7", "seed = ", "not TOML"),
    ],
)
def test_recipes_are_strict(small: Small, old: str, new: str, said: str) -> None:
    path = small.recipe("strict.toml")
    path.write_text(path.read_text().replace(old, new, 1))

    with pytest.raises(ConfigError, match=said):
        recipes.read(path)


def test_a_recipe_is_named_by_its_values_not_its_spelling(small: Small) -> None:
    path = small.recipe("spelling.toml")
    first = recipes.read(path)
    path.write_text("# a comment\n" + path.read_text().replace("1.0", "1"))

    assert recipes.read(path).digest == first.digest
    longer = recipes.read(small.recipe("longer.toml", views=800))
    assert longer.digest != first.digest
    assert longer.training_digest == first.training_digest


def test_an_absent_recipe_or_teacher_says_what_to_do(small: Small, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        recipes.read(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="no_such_package"):
        teacher_folder(recipes.read(small.recipe()).teacher, None)
