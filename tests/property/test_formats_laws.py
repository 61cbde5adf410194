"""Laws of the formats: what was written reads back, whatever it was. Vectors pin the bytes."""

import math
from dataclasses import replace

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ondevice.domain import Item, Scenario
from ondevice.errors import FormatError
from ondevice.formats import (
    canonical,
    envelope,
    invite,
    limits,
    manifest,
    records,
    sealed,
    space,
    tensors,
)
from ondevice.formats.catalogue import Catalogue, split
from ondevice.formats.invite import Invite
from ondevice.formats.manifest import Manifest
from ondevice.formats.space import DecoderNetwork, QualityRow, Space
from ondevice.formats.tensors import F32, Codes

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
slugs = st.from_regex(r"[a-z0-9][a-z0-9-]{0,12}", fullmatch=True)
any_text = st.text(st.characters(codec="utf-8"))
lines = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\u2028\u2029"),
    min_size=1,
    max_size=20,
)
texts = st.lists(lines, max_size=4).map("\n\t".join)
amounts = st.none() | st.floats(0, 1e15)


@st.composite
def matrices(draw: st.DrawFn, rows: int | None = None, columns: int | None = None) -> F32:
    height = draw(st.integers(0, 6)) if rows is None else rows
    width = draw(st.integers(0, 5)) if columns is None else columns
    cells = draw(st.lists(floats, min_size=height * width, max_size=height * width))
    return np.array(cells, dtype=np.float32).reshape(height, width)


items = st.builds(
    Item,
    id=lines,
    title=lines,
    description=texts,
    category=st.just("") | lines,
    tags=st.lists(lines, max_size=4).map(tuple),
    price=amounts,
    rating=st.none() | st.floats(0, 5),
    popularity=amounts,
    date=st.none() | st.dates().map(str) | st.dates().map(lambda day: str(day)[:7]),
    url=st.none() | st.from_regex(r"https?://[!-~]{1,30}", fullmatch=True),
)
catalogues = st.lists(items, max_size=7, unique_by=lambda item: item.id)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    d, e = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    names = st.from_regex(r"[a-z0-9][a-z0-9_]{0,5}", fullmatch=True)
    weights = st.dictionaries(names, matrices() | matrices(columns=1).map(np.ravel), max_size=3)
    quality = st.builds(
        QualityRow,
        epsilon=st.floats(0.01, 100),
        behaviours=st.integers(0, 10**6),
        ndcg=st.floats(0, 1),
    )
    return Space(
        name=draw(lines),
        encoder=draw(digests),
        centre=draw(matrices(e, 1)).ravel(),
        projection=draw(matrices(d, e)),
        half_life=draw(st.integers(1, 1000)),
        temperature=draw(st.floats(1e-6, 1e6)),
        mean=draw(matrices(d, 1)).ravel(),
        between=draw(matrices(d, d)),
        within=draw(matrices(d, d)),
        decoder=draw(st.none() | st.builds(DecoderNetwork, weights=weights)),
        quality=tuple(draw(st.lists(quality, max_size=3))),
    )


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(any_text, json_values, max_size=5))
def test_canonical_json_reads_back_and_has_one_spelling(value: dict[str, object]) -> None:
    blob = canonical.dump(value)
    back = canonical.load(blob, what="x", limit=1 << 20)
    assert back == value
    assert canonical.dump(back) == blob


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=300),
    st.binary(max_size=40),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=7, max_size=7),
)
def test_sealed_files_open_to_what_was_sealed(
    key: bytes, plain: bytes, aad: bytes, salt: bytes, prefix: bytes
) -> None:
    blob = sealed.seal(key, plain, aad, salt=salt, prefix=prefix)
    assert len(blob) == len(plain) + sealed.HEADER + sealed.TAG
    assert sealed.open_sealed(key, blob, aad) == plain


@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=4),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=4),
)
def test_only_equal_parts_bind_alike(one: list[str], other: list[str]) -> None:
    assert (sealed.aad(*one) == sealed.aad(*other)) == (one == other)


@given(matrices())
def test_every_cell_is_coded_to_within_half_a_step(dense: F32) -> None:
    codes = tensors.decode(tensors.encode(Codes.quantize(dense)))

    peak = np.abs(dense.astype(np.float64)).max(axis=1, initial=0.0, keepdims=True)
    error = np.abs(codes.values * (peak / 127) - dense.astype(np.float64))
    assert (error <= peak / 254 * (1 + 1e-9)).all()
    assert (np.abs(codes.values.astype(int)).max(axis=1, initial=0) == 127 * (peak[:, 0] > 0)).all()


@given(matrices())
def test_coded_rows_have_length_one_or_zero(dense: F32) -> None:
    lengths = np.linalg.norm(Codes.quantize(dense).unit().astype(np.float64), axis=1)
    expected = dense.any(axis=1).astype(float) if dense.size else np.zeros(len(dense))
    assert np.allclose(lengths, expected, atol=1e-6)


@given(matrices())
def test_codes_of_codes_are_the_same_codes(dense: F32) -> None:
    once = Codes.quantize(dense)
    again = Codes.quantize(once.values.astype(np.float32))
    assert np.array_equal(once.values, again.values)
    assert np.array_equal(once.inverse_norms, again.inverse_norms)


@given(matrices(), st.booleans())
def test_plain_tensors_keep_every_bit(dense: F32, flat: bool) -> None:
    array = dense.ravel() if flat else dense
    back = tensors.decode_f32(tensors.encode_f32(array))
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@given(catalogues)
def test_records_read_back(given_items: list[Item]) -> None:
    table = records.decode(records.encode(given_items))
    assert list(table) == given_items
    assert table.ids == [item.id for item in given_items]


@given(items, st.sampled_from([math.nan, math.inf, -1.0]))
def test_no_number_out_of_range_is_ever_written(item: Item, bad: float) -> None:
    for field in ("price", "rating", "popularity"):
        try:
            records.encode([replace(item, **{field: bad})])  # type: ignore[arg-type]
        except FormatError:
            continue
        raise AssertionError(f"{field}={bad} was written")


@settings(max_examples=50)
@given(spaces())
def test_spaces_read_back(given_space: Space) -> None:
    blob = space.encode(given_space)
    back = space.decode(blob)
    assert back.digest == given_space.digest
    assert back.quality == given_space.quality
    assert space.encode(back) == blob


@settings(max_examples=50)
@given(catalogues, spaces(), st.integers(1, 4), st.data())
def test_a_split_catalogue_is_the_one_in_memory(
    given_items: list[Item], given_space: Space, rows: int, data: st.DataObject
) -> None:
    count = len(given_items)
    vectors = data.draw(matrices(count, given_space.dimension))
    bias = data.draw(matrices(count, 1)).ravel()
    parts = list(split(given_items, Codes.quantize(vectors), bias, rows=rows))
    document = Manifest(
        catalogue=data.draw(slugs),
        title=data.draw(lines),
        scenario=data.draw(st.sampled_from(Scenario)),
        version=0,
        created="2026-01-15T12:00:00Z",
        space=given_space.digest,
        encoder=given_space.encoder,
        notice=data.draw(texts),
        licence="",
        items=count,
        shards=tuple(sorted((part for part, _ in parts), key=lambda part: part.name)),
    )
    back = manifest.decode(manifest.encode(document))
    assert back == document

    loaded = Catalogue.from_parts(back, {part.name: blob for part, blob in parts}, given_space)
    memory = Catalogue.in_memory(given_items, vectors, bias, given_space)
    assert np.array_equal(loaded.codes, memory.codes)
    assert np.array_equal(loaded.unit(), memory.unit())
    assert np.array_equal(loaded.bias, memory.bias)
    assert list(loaded.records) == list(memory.records) == given_items
    assert all(loaded.records.row(item.id) == row for row, item in enumerate(given_items))


@settings(max_examples=30)
@given(
    st.binary(min_size=32, max_size=32),
    st.sets(st.binary(min_size=32, max_size=32), min_size=1, max_size=4),
    slugs,
    st.integers(0, 1 << 53),
)
def test_every_recipient_gets_the_key(
    key: bytes, secrets: set[bytes], catalogue: str, epoch: int
) -> None:
    private = [X25519PrivateKey.from_private_bytes(secret) for secret in secrets]
    public = {envelope.key_id(each.public_key()): each.public_key() for each in private}
    blob = envelope.wrap(key, public, catalogue=catalogue, epoch=epoch)
    assert len(blob) <= limits.ENVELOPE
    for each in private:
        assert envelope.unwrap(blob, each, catalogue=catalogue) == (key, epoch)


@given(
    st.builds(
        Invite,
        url=st.from_regex(r"(https|file)://[!-~]{1,30}", fullmatch=True),
        catalogues=st.sets(slugs, max_size=4).map(sorted).map(tuple),
        root=st.text(st.characters(codec="utf-8"), min_size=1).map(str.encode),
        group_private=st.binary(min_size=32, max_size=32),
    )
)
def test_invitations_read_back(given_invite: Invite) -> None:
    assert invite.decode(invite.encode(given_invite)) == given_invite
