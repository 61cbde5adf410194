"""The bundle of samples: byte for byte the same, and what the client opens."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from ondevice.domain import Scenario
from ondevice.errors import ConfigError
from ondevice.updates import embedded
from server_tools.publish import demo
from tests.publishing import WordEncoder, small_space, snapshot

TOML = 'id = "rooms"\ntitle = "Rooms"\nscenario = "smart-home"\nnotice = "Invented."\n'
JSONL = '{"id": "a", "title": "Lamp", "category": "light"}\n{"id": "b", "title": "Kettle"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "catalogues"
    folder.mkdir()
    (folder / "rooms.toml").write_text(TOML)
    (folder / "rooms.jsonl").write_text(JSONL)
    return folder


def bundle(folder: Path, out: Path) -> str:
    return demo.bundle(demo.sources(folder), encoder=WordEncoder(), base=small_space(), out=out)


def test_the_same_sources_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    first, second = bundle(folder, tmp_path / "a"), bundle(folder, tmp_path / "b")
    assert first == second
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    index = (tmp_path / "a" / "index.json").read_bytes()
    assert hashlib.sha256(index).hexdigest() == first

    (folder / "rooms.jsonl").write_text(JSONL.replace("Kettle", "Teapot"))
    assert bundle(folder, tmp_path / "c") != first
    shared = set(snapshot(tmp_path / "a")) & set(snapshot(tmp_path / "c"))
    assert len(shared) == 3  # index, manifest, and the bias that did not change


def test_one_client_shows_what_it_was_made_from(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bundle"
    digest = bundle(folder, out)
    (one, _), = embedded.index(out, digest)  # fmt: skip
    monkeypatch.setattr("ondevice.updates.shelf.bundled", lambda name: tmp_path / name)
    from ondevice.formats import space

    space.write(small_space(), tmp_path / "space")
    catalogue = embedded.load_from(out, digest, "rooms")

    assert (one.id, one.title, one.items, one.expires) == ("rooms", "Rooms", 2, None)
    assert one.scenario is Scenario.SMART_HOME
    assert catalogue.manifest.notice == "Invented."
    assert [catalogue.records[row].title for row in range(2)] == ["Lamp", "Kettle"]
    assert np.allclose(np.linalg.norm(catalogue.unit(), axis=1), 1.0, atol=1e-5)


def test_no_nonce_is_used_twice(folder: Path, tmp_path: Path) -> None:
    (folder / "other.toml").write_text(TOML.replace("rooms", "other"))
    (folder / "other.jsonl").write_text(JSONL)
    bundle(folder, tmp_path / "a")
    heads = [blob[:40] for name, blob in snapshot(tmp_path / "a").items() if "index" not in name]
    assert len(heads) == 8
    assert len(set(heads)) == 8  # equal plaintexts in two catalogues are sealed differently


def test_derived_bytes_depend_on_each_part() -> None:
    seen = {
        embedded.derive(*purpose)
        for purpose in [(), ("a",), ("b",), ("a", "b"), ("ab",), ("a", "", "b"), ("b", "a")]
    }
    assert len(seen) == 7
    assert len(embedded.derive("prefix", length=7)) == 7


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("title = 3", "lacks title or scenario"),
        (TOML + "colour = 'red'\n", "unknown key 'colour'"),
        (TOML.replace('"Rooms"', "7"), "every value is a text"),
        (TOML.replace("smart-home", "dreams"), "not one"),
        (TOML.replace('"rooms"', '"../rooms"'), "not one"),
        ("title = ", "not valid TOML"),
    ],
)
def test_sources_that_are_not_as_they_should_be(folder: Path, toml: str, says: str) -> None:
    (folder / "rooms.toml").write_text(toml)
    with pytest.raises(ConfigError, match=says):
        demo.sources(folder)


def test_no_sources(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no NAME\.toml"):
        demo.sources(tmp_path)


def test_the_constant_is_rewritten_and_nothing_else() -> None:
    code = Path(embedded.__file__).read_text(encoding="utf-8")
    changed = demo.with_digest(code, "ab" * 32)
    assert f'INDEX_DIGEST = "{"ab" * 32}"' in changed
    assert demo.with_digest(changed, embedded.INDEX_DIGEST) == code
    with pytest.raises(ConfigError, match="once, not 0"):
        demo.with_digest("x = 1", "ab" * 32)


def test_items_are_the_records_that_people_wrote(folder: Path) -> None:
    (source,) = demo.sources(folder)
    assert source.details.title == "Rooms"
    assert [item.id for item in source.items] == ["a", "b"]


@pytest.mark.slow
@pytest.mark.skipif(not embedded.INDEX_DIGEST, reason="the bundle is not built yet")
def test_the_shipped_bundle_is_what_its_sources_give() -> None:
    demo.main(check=True)
    assert len(embedded.installed()) == 5
