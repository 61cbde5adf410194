"""The samples are believed because of one digest in the program; everything else follows."""

import hashlib
from pathlib import Path

import pytest

from ondevice.domain import Scenario
from ondevice.errors import FormatError, IntegrityError, NotReadyError, TrustError
from ondevice.formats import space
from ondevice.updates import embedded
from server_tools.embed.local import Details
from server_tools.publish import demo
from tests.publishing import WordEncoder, small_space, some_items


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    base = tmp_path_factory.mktemp("demo")
    space.write(small_space(), base / "space")
    details = Details(catalogue="rooms", scenario=Scenario.ECOMMERCE, title="Rooms")
    source = demo.Source(details=details, items=tuple(some_items()))
    digest = demo.bundle(
        [source], encoder=WordEncoder(), base=small_space(), out=base / "demo" / "bundle"
    )
    return base, digest


@pytest.fixture
def shipped(made: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bundle in the place where the program looks for it."""
    import shutil

    base, digest = made
    shutil.copytree(base, tmp_path / "models")
    for module in ("embedded", "shelf"):
        monkeypatch.setattr(
            f"ondevice.updates.{module}.bundled", lambda name: tmp_path / "models" / name
        )
    monkeypatch.setattr(embedded, "INDEX_DIGEST", digest)
    return tmp_path / "models" / "demo" / "bundle"


def test_samples_are_listed_and_loaded(shipped: Path) -> None:
    (one,) = embedded.installed()
    catalogue = embedded.load("rooms")
    assert (one.id, one.version, one.origin) == ("rooms", 1, "sample")
    assert [catalogue.records[row] for row in range(12)] == some_items()
    with pytest.raises(NotReadyError, match="no sample catalogue 'cellar'"):
        embedded.load("cellar")


def test_every_changed_byte_of_any_file_is_noticed(shipped: Path) -> None:
    for path in sorted(path for path in shipped.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 20)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(IntegrityError):
                embedded.load("rooms")
        for other in (b"", whole[:-1], whole + b"\0"):
            path.write_bytes(other)
            with pytest.raises(IntegrityError):
                embedded.load("rooms")
        path.write_bytes(whole)
    assert len(embedded.load("rooms")) == 12


def test_missing_files(shipped: Path) -> None:
    files = sorted(path for path in shipped.rglob("*") if path.is_file())
    assert len(files) == 5
    for path in files:
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises(NotReadyError, match="is missing"):
            embedded.load("rooms")
        path.write_bytes(whole)


def test_without_a_bundle_there_are_no_samples(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped.rename(shipped.with_name("away"))
    assert embedded.installed() == []

    def nothing(name: str) -> Path:
        raise NotReadyError(name)

    monkeypatch.setattr(embedded, "bundled", nothing)
    assert embedded.installed() == []


def test_an_index_that_was_released_malformed_is_one_error(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = (shipped / "index.json").read_bytes()
    for old, new in ((b'"rooms"', b'"../x"'), (b"e-commerce", b"dreams"), (b"/1", b"/2")):
        (shipped / "index.json").write_bytes(index.replace(old, new, 1))
        digest = hashlib.sha256(index.replace(old, new, 1)).hexdigest()
        monkeypatch.setattr(embedded, "INDEX_DIGEST", digest)
        with pytest.raises(FormatError):
            embedded.installed()


def test_a_bundle_in_a_space_that_this_program_does_not_have(shipped: Path) -> None:
    space.write(small_space("another"), shipped.parents[1] / "space")
    with pytest.raises(NotReadyError, match="in a space that this version does not have"):
        embedded.load("rooms")


def test_a_manifest_cannot_stand_in_for_another(shipped: Path) -> None:
    with pytest.raises(TrustError, match="released with"):
        embedded.load_from(shipped, "0" * 64, "rooms")
