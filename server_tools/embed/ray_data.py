"""Encode on a Ray cluster: the chunks of a row group as a Ray Data pipeline.

Each worker is an actor with one encoder session of its own. Chunks come back in order, a chunk
whose worker died is given to another, and since a text has the same vector in any company, the
shards are the same bytes as from one process.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ondevice.errors import ConfigError, NotReadyError
from ondevice.formats.tensors import F32
from server_tools.embed.groups import TextEncoder

_TRIES = -1  # a dead worker is replaced as often as it takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ray:
    """Encodes by `workers` actors of the cluster that this process is connected to."""

    make: Callable[[], TextEncoder]  # called once in each worker
    workers: int
    cpus: float = 1.0  # of each

    def chunks(self, texts: Sequence[Sequence[str]]) -> Iterator[F32]:
        """Yield the unit rows of each chunk of `texts`, in order."""
        if not texts:
            return
        import ray

        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        rows = [{"index": i, "texts": list(chunk)} for i, chunk in enumerate(texts)]
        encoded = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Worker,
            fn_constructor_args=(self.make,),
            batch_size=1,
            concurrency=self.workers,
            num_cpus=self.cpus,
            max_restarts=_TRIES,
            max_task_retries=_TRIES,
        )
        for expected, row in enumerate(encoded.iter_rows()):
            if row["index"] != expected:
                raise AssertionError(f"chunk {row['index']} came where {expected} was due")
            yield np.asarray(row["vectors"], dtype=np.float32)


def connect(address: str) -> int:
    """Join the cluster at `address`, or start one on this machine for ""; return its CPUs.

    Raises:
        NotReadyError: Ray is not installed.
        ConfigError: there is no cluster at that address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray would report to its makers
    try:
        import ray
    except ImportError as error:
        raise NotReadyError(
            "--engine ray needs Ray", hint="pip install 'ondevice-rec[server]'"
        ) from error
    if not ray.is_initialized():
        try:
            ray.init(
                address=address or None,
                include_dashboard=None if address else False,
                log_to_driver=False,
            )
        except (ConnectionError, ValueError) as error:
            raise ConfigError(
                f"cannot join a Ray cluster at '{address}': {error}",
                hint="give --ray-address HOST:PORT of a running cluster, or none at all",
            ) from error
    resources: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(resources.get("CPU", 1))


class _Worker:
    """One actor: it loads its encoder once."""

    def __init__(self, make: Callable[[], TextEncoder]) -> None:
        self._encoder = make()

    def __call__(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        vectors = [self._encoder.encode([str(text) for text in texts]) for texts in batch["texts"]]
        return {"index": batch["index"], "vectors": vectors}
