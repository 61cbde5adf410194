"""Many workers, any store: the same shards, byte for byte, as from one process and a file."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ondevice.errors import ConfigError, NotReadyError
from server_tools import sources
from server_tools.embed import local
from tests.publishing import WordEncoder, small_space, snapshot
from tests.server.scaling import DETAILS, write

boto3 = pytest.importorskip("boto3", reason="the server stack is not installed")
pytest.importorskip("ray", reason="the server stack is not installed")

ROOT = Path(__file__).resolve().parents[2]
ITEMS = 6_000
SECRET = "testing"


def build(source: str, out: Path) -> dict[str, bytes]:
    local.build(
        sources.Source(source), encoder=WordEncoder(), into=small_space(), details=DETAILS, out=out
    )
    return snapshot(out)


def on_a_cluster(source: Path, out: Path, *, kill: bool) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.server.ray_build", str(source), str(out), str(int(kill))],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=ROOT,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"items_per_s"')]
    assert lines, done.stderr[-2000:]
    report: dict[str, int] = json.loads(lines[-1])
    return report


@pytest.mark.slow
@pytest.mark.parametrize("kill", [False, True])
def test_a_cluster_of_two_workers_writes_the_same_bytes(kill: bool, tmp_path: Path) -> None:
    source = write(tmp_path / "items.jsonl", ITEMS)
    report = on_a_cluster(source, tmp_path / "ray", kill=kill)
    assert report["actors"] == (3 if kill else 2)
    assert snapshot(tmp_path / "ray") == build(str(source), tmp_path / "local")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An object store on loopback that speaks S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for name, value in (
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", SECRET),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="things")
    yield "things"
    server.stop()


@pytest.mark.filterwarnings("ignore")  # of the store's own client
def test_items_from_an_object_store(bucket: str, tmp_path: Path) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    source = write(tmp_path / "items.jsonl", 300)
    expected = build(str(source), tmp_path / "local")
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "items.parquet")
    store = boto3.client("s3")
    for name in ("items.jsonl", "items.parquet"):
        store.upload_file(str(tmp_path / name), bucket, name)

    assert build(f"s3://{bucket}/items.jsonl", tmp_path / "a") == expected
    assert build(f"s3://{bucket}/items.parquet", tmp_path / "b") == expected
    assert build(str(tmp_path / "items.parquet"), tmp_path / "c") == expected
    with pytest.raises(ConfigError, match="cannot read"):
        build(f"s3://{bucket}/nothing.jsonl", tmp_path / "d")


def test_addresses_and_files_that_are_no_source(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ConfigError, match="cannot read"):
        list(sources.read(str(tmp_path / "x.parquet")))
    with pytest.raises((ConfigError, NotReadyError)):
        list(sources.read("nosuch://place/items.jsonl"))
