"""A publisher's commands, then a device with its real keybox: real texts, encoder and space."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ondevice import clock
from ondevice.encoder.session import Encoder
from ondevice.errors import NotReadyError
from ondevice.formats import space
from ondevice.paths import Home, bundled
from ondevice.store import Store
from ondevice.updates import embedded, install
from server_tools.embed import command as embed
from server_tools.publish import command as publish
from server_tools.publish import keys_command

ROOT = Path(__file__).resolve().parents[2]
SHOP = ROOT / "models" / "demo" / "catalogues" / "shop.jsonl"

needs_models = pytest.mark.skipif(
    not ((ROOT / "models/encoder/model.onnx").exists() and (ROOT / "models/space").is_dir()),
    reason="encoder and base space are not built yet",
)


def run(command: object, *arguments: object) -> str:
    done = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)  # type: ignore[arg-type]
    assert done.exit_code == 0, done.output
    return done.stderr


def source(kind: str, folder: Path) -> str:
    """The same 40 items as JSON lines and as CSV, or some packages of this machine."""
    rows = [json.loads(line) for line in SHOP.read_text(encoding="utf-8").splitlines()[:40]]
    if kind == "apt":
        if shutil.which("dpkg-query") is None:
            pytest.skip("needs a Debian machine")
        return "apt:lib*g*"
    path = folder / f"items.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)
    with path.open("w", encoding="utf-8", newline="") as file:
        names = ("id", "title", "description", "category", "tags", "price", "rating", "popularity")
        writer = csv.writer(file)
        writer.writerow(names)
        for row in rows:
            flat = {**row, "tags": "|".join(row.get("tags", ()))}
            writer.writerow([flat.get(name, "") for name in names])
    return str(path)


@needs_models
@pytest.mark.parametrize("kind", ["jsonl", "csv", "apt"])
def test_from_a_source_to_a_search_on_the_device(kind: str, tmp_path: Path) -> None:
    build, repo, invitation = tmp_path / "build", tmp_path / "repo", tmp_path / "me.invite"
    arguments = ["--source", source(kind, tmp_path), "--id", "mine", "--title", "My things"]
    run(embed.build, *arguments, "--scenario", "e-commerce", "--out", build)
    run(keys_command.keys, "init", "--repo", repo)
    run(publish.publish, build, "--repo", repo)
    run(publish.invite, "--repo", repo, "--url", repo, "--out", invitation)

    home = Home(tmp_path / "home")
    with Store.open(home) as store:
        assert install.add(home, invitation, keys=store.keys, now=clock.now()) == ["mine"]
    with Store.open(home) as store:  # another day: the key is at rest in the keybox
        catalogue = install.load(home, "mine", keys=store.keys)

    assert catalogue.manifest.title == "My things"
    assert catalogue.manifest.shard("space") is None  # devices have the base space
    assert len(catalogue) >= 30
    encoder, base = Encoder.load(bundled("encoder")), space.read(bundled("space"))
    for row in (0, 7, 29):  # an item is nearest to its own text
        query = base.project(encoder.encode([catalogue.records[row].text]))[0]
        cosines = catalogue.unit() @ query
        assert cosines[row] > 0.999
        assert cosines[row] >= np.max(cosines) - 1e-3
    if kind != "apt":
        assert catalogue.records[0].title == json.loads(SHOP.read_text().splitlines()[0])["title"]
    group = (tmp_path / "repo.keys" / "group.key").read_bytes()
    for path in home.root.rglob("*"):
        if path.is_file():
            assert group not in path.read_bytes()
            assert bytes.fromhex(group.decode()) not in path.read_bytes()


@needs_models
def test_json_lines_and_csv_give_the_same_build(tmp_path: Path) -> None:
    for kind in ("jsonl", "csv"):
        arguments = ["--source", source(kind, tmp_path), "--id", "mine", "--scenario", "e-commerce"]
        run(embed.build, *arguments, "--out", tmp_path / f"build-{kind}")
    names = sorted(path.name for path in (tmp_path / "build-csv").iterdir())
    assert names == ["bias-00000", "build.json", "codes-00000", "records-00000"]
    for name in names:
        assert (tmp_path / "build-csv" / name).read_bytes() == (
            tmp_path / "build-jsonl" / name
        ).read_bytes()


@pytest.mark.skipif(not embedded.INDEX_DIGEST, reason="the bundle of samples is not built yet")
def test_the_samples_that_ship_are_ready_and_never_stale() -> None:
    samples = embedded.installed()
    assert len({one.scenario for one in samples}) == 5
    for one in samples:
        catalogue = embedded.load(one.id)
        assert len(catalogue) == one.items >= 120
        assert one.expires is None
        assert one.origin == "sample"
        assert catalogue.manifest.licence
    with pytest.raises(NotReadyError, match="no sample catalogue 'x'"):
        embedded.load("x")
