"""From a publisher's folder to a device's memory, and what happens when somebody interferes."""

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ondevice.errors import (
    ConfigError,
    FormatError,
    NotReadyError,
    TrustError,
)
from ondevice.updates import install, shelf
from server_tools.publish import repository
from tests.publishing import NOW, Device, Publisher, rewrite_invite, snapshot, some_items

LATER = NOW + timedelta(days=3)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    base = tmp_path / "publisher"
    base.mkdir()
    publisher = Publisher(base).init()
    publisher.publish(some_items())
    return publisher


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "device")


@pytest.fixture
def joined(publisher: Publisher, device: Device) -> Device:
    assert install.add(device.home, publisher.invite(), keys=device.keys, now=NOW) == ["rooms"]
    return device


def titles(device: Device) -> list[str]:
    catalogue = install.load(device.home, "rooms", keys=device.keys)
    return [catalogue.records[row].title for row in range(len(catalogue))]


def test_what_is_loaded_is_what_was_built(publisher: Publisher, joined: Device) -> None:
    catalogue = install.load(joined.home, "rooms", keys=joined.keys)
    one = install.installed(joined.home)[0]

    assert [catalogue.records[row] for row in range(len(catalogue))] == some_items()
    assert (one.id, one.title, one.version, one.items) == ("rooms", "Things for rooms", 1, 12)
    assert one.expires == NOW + timedelta(days=7)
    assert one.origin == publisher.repo.as_uri()
    install.verify(joined.home, "rooms", keys=joined.keys)


def test_nothing_readable_lies_on_the_device_or_at_the_host(
    publisher: Publisher, joined: Device
) -> None:
    everything = {**snapshot(publisher.repo), **snapshot(joined.home.catalogues)}
    assert len(everything) > 10
    for name, blob in everything.items():
        assert b"kettle" not in blob, name
        for secret in (*joined.keys.values(), publisher.metadata("1.root.json").read_bytes()[:0]):
            assert not secret or secret not in blob, name
            assert not secret or secret.hex().encode() not in blob, name


def test_a_changed_item_fetches_only_what_changed(publisher: Publisher, joined: Device) -> None:
    before = set(snapshot(joined.home.catalogues / "rooms" / "shards"))
    report = publisher.publish(some_items(changed=4), now=LATER)
    done = install.update(joined.home, "rooms", keys=joined.keys, now=LATER)

    assert report.kept == ("bias-00000", "space")
    assert (done.before, done.after) == (1, 2)
    assert done.fetched == ("codes-00000", "records-00000")
    assert done.size == report.size
    assert titles(joined)[4] == "fund number 4 (new)"
    after = set(snapshot(joined.home.catalogues / "rooms" / "shards"))
    assert before < after  # the version before stays for who is reading it

    again = install.update(joined.home, "rooms", keys=joined.keys, now=LATER)
    assert (again.before, again.after, again.fetched) == (2, 2, ())
    assert len(snapshot(joined.home.catalogues / "rooms" / "shards")) == 4


def test_an_update_without_news_renews_the_expiry(publisher: Publisher, joined: Device) -> None:
    assert repository.refresh(publisher.repo, now=LATER) == ("timestamp",)
    done = install.update(joined.home, "rooms", keys=joined.keys, now=LATER)

    assert (done.before, done.after, done.fetched) == (1, 1, ())
    assert install.installed(joined.home)[0].expires == LATER + timedelta(days=7)
    assert titles(joined)[0] == "lamp number 0"


def test_two_catalogues_and_an_invitation_to_one(tmp_path: Path, publisher: Publisher) -> None:
    publisher.publish(some_items(3), catalogue="attic")
    both, one = Device(tmp_path / "both"), Device(tmp_path / "one")
    install.add(both.home, publisher.invite(), keys=both.keys, now=NOW)
    install.add(one.home, publisher.invite(catalogues=["attic"]), keys=one.keys, now=NOW)

    assert [i.id for i in install.installed(both.home)] == ["attic", "rooms"]
    assert [i.id for i in install.installed(one.home)] == ["attic"]
    assert len(install.load(one.home, "attic", keys=one.keys)) == 3


def test_expired_metadata_still_runs_and_refuses_only_news(
    publisher: Publisher, joined: Device
) -> None:
    late = NOW + timedelta(days=8)
    with pytest.raises(TrustError, match="timestamp 2 expired"):
        install.update(joined.home, "rooms", keys=joined.keys, now=late)
    assert len(titles(joined)) == 12


def test_a_clock_that_ran_ahead_does_not_lock_the_device_out(
    publisher: Publisher, joined: Device
) -> None:
    with pytest.raises(TrustError, match="expired"):
        install.update(joined.home, "rooms", keys=joined.keys, now=NOW.replace(year=2090))
    assert install.update(joined.home, "rooms", keys=joined.keys, now=NOW).after == 1


def test_a_renewed_root_is_followed(publisher: Publisher, joined: Device) -> None:
    spring = NOW + timedelta(days=330)
    publisher.publish(some_items(changed=1), now=spring)
    assert publisher.metadata("2.root.json").exists()

    late = NOW + timedelta(days=334)
    assert install.update(joined.home, "rooms", keys=joined.keys, now=late).after == 2


def test_without_its_key_a_catalogue_stays_closed(joined: Device) -> None:
    joined.keys.clear()
    with pytest.raises(NotReadyError, match="no key"):
        install.load(joined.home, "rooms", keys=joined.keys)


def test_remove_takes_files_and_key(joined: Device) -> None:
    install.remove(joined.home, "rooms", keys=joined.keys)
    assert install.installed(joined.home) == []
    assert joined.keys == {}
    assert not (joined.home.catalogues / "rooms").exists()
    for name in ("rooms", "..", "../..", ".staging"):
        with pytest.raises(NotReadyError, match="no catalogue"):
            install.remove(joined.home, name, keys=joined.keys)


def test_adding_twice_is_refused(publisher: Publisher, joined: Device) -> None:
    with pytest.raises(ConfigError, match="installed already"):
        install.add(joined.home, publisher.invite(), keys=joined.keys, now=NOW)


def test_an_invitation_to_something_that_is_not_offered(
    publisher: Publisher, device: Device
) -> None:
    invitation = rewrite_invite(publisher.invite(), catalogues=("cellar",))
    with pytest.raises(NotReadyError, match="does not offer 'cellar'"):
        install.add(device.home, invitation, keys=device.keys, now=NOW)


@pytest.mark.parametrize("content", [b"", b"\0\1\2", b"{}", b"x" * (2 << 20)])
def test_something_that_is_no_invitation(content: bytes, tmp_path: Path, device: Device) -> None:
    path = tmp_path / "x.invite"
    path.write_bytes(content)
    with pytest.raises(FormatError):
        install.add(device.home, path, keys=device.keys, now=NOW)
    with pytest.raises(NotReadyError):
        install.add(device.home, tmp_path / "none.invite", keys=device.keys, now=NOW)


def test_one_writer_at_a_time(publisher: Publisher, joined: Device) -> None:
    from ondevice.updates import files

    with files.locked(joined.home), pytest.raises(NotReadyError, match="another process"):
        install.update(joined.home, "rooms", keys=joined.keys, now=NOW)


def test_nobody_was_ever_here(device: Device) -> None:
    assert install.installed(device.home) == []
    with pytest.raises(NotReadyError):
        install.load(device.home, "rooms", keys=device.keys)
    with pytest.raises(NotReadyError):
        install.update(device.home, "../rooms", keys=device.keys, now=NOW)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    served: list[str]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        self.served.append(self.path)


@contextmanager
def web(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve `folder` as any static host does."""
    served: list[str] = []
    handler = type("Handler", (_Quiet,), {"served": served})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", served
        finally:
            server.shutdown()
            thread.join()


def test_over_http_only_what_changed_is_asked_for(publisher: Publisher, joined: Device) -> None:
    publisher.publish(some_items(changed=4), now=LATER)
    with web(publisher.repo) as (url, served):
        pointer = joined.home.catalogues / "rooms" / "active"
        pointer.write_bytes(shelf.encode(replace(install.installed(joined.home)[0], origin=url)))
        install.update(joined.home, "rooms", keys=joined.keys, now=LATER)

    assert [name.rpartition(".")[2] for name in served if name.startswith("/targets/")] == [
        "manifest",
        "codes-00000",
        "records-00000",
    ]
    assert titles(joined)[4].endswith("(new)")


def test_a_process_killed_at_any_write_leaves_a_working_version(
    publisher: Publisher, joined: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop an update at each of its writes in turn; the old or the new version must load."""
    from ondevice.updates import files

    real, writes = files.put, 0

    class KilledError(BaseException):
        """Nothing of ours catches it, as nothing catches a kill."""

    for stop_at in range(1, 12):
        publisher.publish(some_items(changed=stop_at % 12), now=LATER)
        writes = 0

        def put(path: Path, content: bytes, stop_at: int = stop_at) -> None:
            nonlocal writes
            writes += 1
            if writes == stop_at:
                raise KilledError
            real(path, content)

        monkeypatch.setattr(files, "put", put)
        try:
            install.update(joined.home, "rooms", keys=joined.keys, now=LATER)
        except KilledError:
            assert len(titles(joined)) == 12
        else:
            break
        finally:
            monkeypatch.setattr(files, "put", real)
    assert 4 <= stop_at < 11
    assert titles(joined)[stop_at % 12].endswith("(new)")
