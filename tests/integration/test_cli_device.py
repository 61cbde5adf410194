"""A device that a publisher enrols: from its key on paper to a catalogue, by commands."""

import json
from pathlib import Path

from ondevice import clock
from tests.commands import here, publisher
from tests.publishing import Publisher, some_items


def test_from_the_device_s_key_to_its_catalogue_and_out_again(tmp_path: Path) -> None:
    home, theirs = tmp_path / "home", Publisher(tmp_path).init(now=clock.now())
    theirs.publish(some_items(), now=clock.now())
    root, at = theirs.metadata("1.root.json"), ("--repo", theirs.repo)
    key = here("device", "enrol", home=home).out.strip()
    joining = ("catalogue", "add", theirs.repo, "--root", root)

    refused = here(*joining, home=home)
    assert refused.code == 3
    assert "device enrol" in refused.err
    assert publisher("devices", "add", "hub", key, *at) == 0
    assert here(*joining, home=home).out.startswith("rooms version 1: 12 items")
    shown = json.loads(here("device", "show", "--json", home=home).out)
    assert (shown["public_key"], shown["catalogues"]) == (key, ["rooms"])
    assert key in here("device", "show", home=home).out

    assert publisher("devices", "revoke", "hub", *at) == 0
    update = here("catalogue", "update", home=home)
    assert update.code == 5
    assert "no key for this device" in update.err
    assert here("catalogue", "list", home=home).out.startswith("rooms")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for arguments, said in (
        (("https://example.org/repo",), "--root root.json"),
        ((tmp_path / "none", "--root", tmp_path / "root.json"), "neither a folder nor an address"),
        ((tmp_path, "--root", tmp_path / "root.json"), "cannot read"),
    ):
        done = here("catalogue", "add", *arguments, home=home)
        assert done.code == 2
        assert said in done.err
