"""Build on a real Ray cluster of this machine: `python -m tests.server.ray_build SOURCE OUT KILL`.

The head has no CPU and two nodes have one each, so every text is encoded by one of their two
actors. With KILL=1 one of them is killed while it works. Prints the items a second of
wall clock, and how many actors started.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray.cluster_utils import Cluster

from ondevice.formats.tensors import F32
from server_tools import sources
from server_tools.embed import local, ray_data
from tests.publishing import WordEncoder, small_space
from tests.server.scaling import DETAILS


class Slow(WordEncoder):
    """Notes that it started, and takes its time, so that there is a middle to be killed in."""

    def __init__(self, notes: str) -> None:
        super().__init__()
        Path(notes, str(os.getpid())).touch()

    def encode(self, texts: Sequence[str]) -> F32:
        time.sleep(0.2)
        return super().encode(texts)


def main() -> None:
    """Build and report."""
    source, out, kill = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "1"
    notes = out.with_name(out.name + ".actors")
    notes.mkdir()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    ray_data.connect(cluster.address)
    cluster.wait_for_nodes()

    def killer() -> None:
        while len(list(notes.iterdir())) < 2:
            time.sleep(0.05)
        time.sleep(1.0)
        victim = min(int(note.name) for note in notes.iterdir())
        os.kill(victim, signal.SIGKILL)

    if kill:
        threading.Thread(target=killer, daemon=True).start()
    place, started = str(notes), time.monotonic()
    built = local.build(
        sources.Source(source),
        encoder=WordEncoder(),
        into=small_space(),
        details=DETAILS,
        out=out,
        engine=ray_data.Ray(make=lambda: Slow(place), workers=2),
    )
    took = time.monotonic() - started
    report = {"items_per_s": round(built.items / took), "actors": len(list(notes.iterdir()))}
    sys.stdout.write(json.dumps(report) + "\n")
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
