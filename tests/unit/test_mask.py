"""`mask`: measured on a labelled file and on real titles; and laws that hold for any text."""

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondevice.encoder.clean import clean
from ondevice.encoder.mask import mask
from ondevice.errors import ConfigError

LABELLED = Path(__file__).parent.parent / "data" / "personal_data.tsv"
CLASSES = ("e-mail", "phone", "card", "iban")
NUMBER_LIKE = st.text("0123456789 +-().,/@:atdoGBDEFR\u00a0x#[]é٤", max_size=120)
SPECIAL = (
    "jane|@|example.org|(at)| at | dot |com|+44 |020 7946 0123| |-|4111|1111|GB29|NWBK|call |order "
    "|6016 1331 9268 19|[phone]|[card]|[e-mail]|[iban]|00|(|)|555-0143|=|:|2001|٠١٢|'|978"
)
PIECES = st.sampled_from(SPECIAL.split("|"))
ANY = st.one_of(st.text(), NUMBER_LIKE, st.lists(PIECES, max_size=30).map("".join))


def labelled() -> list[tuple[str, str, str]]:
    """(class, text, text as it should be stored); ⟦…⟧ in the file marks the personal data."""
    rows = []
    for line in LABELLED.read_text(encoding="utf-8").splitlines():
        name, marked = line.split("\t")
        stored = re.sub("⟦[^⟧]*⟧", f"[{name}]", marked)
        rows.append((name, marked.replace("⟦", "").replace("⟧", ""), clean(stored)))
    return rows


def test_the_labelled_file_is_what_it_says() -> None:
    rows = labelled()
    counts = Counter(name for name, _, _ in rows)

    assert len(rows) == len({text for _, text, _ in rows}) == 300
    assert all(counts[name] >= 50 for name in CLASSES)
    assert counts["none"] >= 80


@pytest.mark.parametrize("name", CLASSES)
def test_recall_of_each_class(name: str, record_property: Callable[[str, object], None]) -> None:
    rows = [(text, stored) for label, text, stored in labelled() if label == name]
    missed = [text for text, stored in rows if mask(clean(text)).text != stored]

    recall = 1 - len(missed) / len(rows)
    record_property("recall", f"{name}: {recall:.3f} of {len(rows)}")
    assert recall >= 0.95, missed


def test_what_is_not_personal_stays(record_property: Callable[[str, object], None]) -> None:
    rows = [text for label, text, _ in labelled() if label == "none"]
    altered = [text for text in rows if mask(clean(text)).text != clean(text)]

    share = 1 - len(altered) / len(rows)
    record_property("unaltered", f"{share:.3f} of {len(rows)}")
    assert share >= 0.97, altered


@pytest.mark.parametrize(
    ("catalogue", "most"),
    [
        ("content_films_wikipedia_3k", 0.01),
        ("ecommerce_retail_demo_store", 0.01),
        ("smarthome_zigbee_devices", 0.01),
        ("content_debian_programs", 0.01),
    ],
)
def test_real_titles_stay(
    shared_data: Path, catalogue: str, most: float, record_property: Callable[[str, object], None]
) -> None:
    lines = (shared_data / "catalogues" / f"{catalogue}.jsonl").read_text("utf-8").splitlines()
    titles = [title for line in lines if (title := json.loads(line)["title"]).strip()]
    altered = [t for t in titles if mask(clean(t)).text != " ".join(t.split())]

    record_property("altered", f"{catalogue}: {len(altered)} of {len(titles)} titles")
    assert len(titles) >= 2_000
    assert len(altered) <= most * len(titles), altered[:10]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a film about two friends", {}),
        ("jane@example.org and john@example.org", {"e-mail": 2}),
        ("4111 1111 1111 1111, call 020 7946 0123", {"card": 1, "phone": 1}),
        ("GB29 NWBK 6016 1331 9268 19 jane@example.org", {"iban": 1, "e-mail": 1}),
        ("1984 4111 1111 1111 1111 1985", {"card": 1}),
    ],
)
def test_counts_by_class(text: str, found: dict[str, int]) -> None:
    masked = mask(text)

    assert masked.found == found
    assert all(masked.text.count(f"[{name}]") == n for name, n in found.items())


def test_a_word_before_the_number_decides() -> None:
    assert mask("call 1234 5678").text == "call [phone]"
    assert mask("order 020 7946 0123").text == "order 020 7946 0123"
    assert mask("phone no. 020 7946 0123").text == "phone no. [phone]"


@pytest.mark.parametrize(
    "seed", ["1 ", "0 ", "+1", "0-", "a@", "a at ", "GB29 ", "12 345 678 901 "]
)
def test_hostile_text_costs_no_time(seed: str) -> None:
    text = (seed * 2_000)[:2_000]
    before = time.process_time()
    mask(text)
    assert time.process_time() - before < 2.0


def test_a_text_without_numbers_loads_no_number_library() -> None:
    probe = (
        "import sys; from ondevice.encoder.mask import mask;"
        "from ondevice.encoder.clean import clean;"
        "mask(clean('Blade Runner 2049, a film about memory, look at 2001 too; jane@example.org'));"
        "print(sorted({'phonenumbers', 'stdnum'} & set(sys.modules)))"
    )
    proc = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert proc.stdout == "[]\n"


@pytest.mark.bench
def test_cost_of_a_typical_text() -> None:
    text = "A quiet film about two friends who repair an old lighthouse, and what the sea brings"
    rounds = 5_000
    before = time.process_time()
    for _ in range(rounds):
        mask(clean(text))
    each = (time.process_time() - before) / rounds * 1e3
    sys.stdout.write(f"clean and mask: {each:.4f} CPU ms a text\n")
    assert each < 0.1


@settings(deadline=None)
@given(ANY)
def test_masking_twice_changes_nothing(text: str) -> None:
    once = mask(text)

    assert mask(once.text).text == once.text
    assert bool(once.found) == (once.text != text)


@settings(deadline=None)
@given(ANY)
def test_a_stored_text_can_be_cleaned_again(text: str) -> None:
    try:
        stored = mask(clean(text)).text
    except ConfigError:
        return
    assert clean(stored) == stored
