"""The shipped encoder: one text, one vector, whatever else is asked for."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ondevice.encoder.session import MODEL, NOTE, TOKENIZER, Encoder, digest_of
from ondevice.errors import ConfigError, FormatError, IntegrityError, NotReadyError
from ondevice.paths import bundled

TEXTS = [
    "a quiet desk lamp with a warm light",
    "Film",
    "An old lighthouse keeper teaches a runaway girl to read the weather. " * 6,
    "turn the heating down when nobody is home",
    "本 mixed пример with café and naïve words 🙂",
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(bundled("encoder"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in (MODEL, TOKENIZER, NOTE):
        shutil.copyfile(bundled("encoder") / name, tmp_path / name)
    return tmp_path


def test_rows_are_unit_and_in_order(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS)

    assert vectors.shape == (len(TEXTS), encoder.dimension) == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert np.array_equal(encoder.encode(TEXTS[::-1]), vectors[::-1])


def test_a_text_has_the_same_vector_alone_and_among_others(encoder: Encoder) -> None:
    among = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])

    assert np.array_equal(among, alone)


def test_like_texts_lie_closer_than_unlike_ones(encoder: Encoder) -> None:
    lamp, light, tax = encoder.encode(
        ["a lamp for reading in bed", "bedside reading light", "quarterly tax on dividends"]
    )

    assert lamp @ light > 0.5 > lamp @ tax + 0.2


def test_what_follows_the_last_token_is_ignored(encoder: Encoder) -> None:
    long = "lantern " * encoder.max_tokens

    assert len(encoder.tokens(long)) == encoder.max_tokens
    assert np.array_equal(encoder.encode([long]), encoder.encode([long + "and a bicycle"]))


def test_no_text_gives_no_rows(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dimension)


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_an_empty_text_is_refused_with_a_hint(encoder: Encoder, text: str) -> None:
    with pytest.raises(ConfigError, match="nothing to encode") as caught:
        encoder.encode(["fine", text])
    assert caught.value.hint


def test_rare_words_are_spelt_not_lost(encoder: Encoder) -> None:
    pieces = encoder.tokens("zyxomma qwertzuiop xylographically")

    assert "[UNK]" not in pieces
    spelt = "".join(piece.removeprefix("##") for piece in pieces[1:-1])
    assert spelt == "zyxommaqwertzuiopxylographically"


def test_the_digest_names_both_files(encoder: Encoder) -> None:
    model = (bundled("encoder") / MODEL).read_bytes()
    tokenizer = (bundled("encoder") / TOKENIZER).read_bytes()

    assert encoder.digest == digest_of(model, tokenizer)
    assert digest_of(b"ab", b"c") != digest_of(b"a", b"bc")


def test_it_fits_in_twelve_mebibytes() -> None:
    size = sum((bundled("encoder") / name).stat().st_size for name in (MODEL, TOKENIZER))

    assert size <= 12 * 2**20


@pytest.mark.parametrize("name", [MODEL, TOKENIZER, NOTE])
def test_a_missing_file_says_what_to_do(copy: Path, name: str) -> None:
    (copy / name).unlink()

    with pytest.raises(NotReadyError, match=name) as caught:
        Encoder.load(copy)
    assert "reinstall" in caught.value.hint


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
def test_one_flipped_bit_is_noticed(copy: Path, name: str) -> None:
    blob = bytearray((copy / name).read_bytes())
    blob[len(blob) // 2] ^= 1
    (copy / name).write_bytes(blob)

    with pytest.raises(IntegrityError, match="damaged"):
        Encoder.load(copy)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"digest": 1, "dimension": 384, "max_tokens": 128}',
        b'{"digest": "x", "dimension": 0, "max_tokens": 128}',
        b'{"digest": "x", "dimension": 384, "max_tokens": 99999}',
    ],
)
def test_a_malformed_note_is_a_format_error(copy: Path, note: bytes) -> None:
    (copy / NOTE).write_bytes(note)

    with pytest.raises(FormatError):
        Encoder.load(copy)


def test_bytes_that_are_no_model_are_refused_even_under_their_own_digest(copy: Path) -> None:
    (copy / MODEL).write_bytes(b"not a model")
    note = json.loads((copy / NOTE).read_text())
    note["digest"] = digest_of(b"not a model", (copy / TOKENIZER).read_bytes())
    (copy / NOTE).write_text(json.dumps(note))

    with pytest.raises(IntegrityError, match="cannot be opened"):
        Encoder.load(copy)


PROBE = """
import sys
import ondevice.encoder, ondevice.encoder.session as session
assert not {"onnxruntime", "tokenizers"} & set(sys.modules), "loaded before it was needed"
from ondevice.paths import bundled
session.Encoder.load(bundled("encoder")).encode(["a kettle"])
heavy = {"huggingface_hub", "httpx", "hf_xet", "requests", "torch", "transformers"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
print("light")
"""


def test_loading_is_lazy_and_pulls_in_no_network_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=False
    )

    assert done.stdout == "light\n", done.stderr
