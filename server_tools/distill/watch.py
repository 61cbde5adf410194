"""What a person sees of a run: a progress bar on stderr, curves for TensorBoard, one log."""

import json
from pathlib import Path
from types import TracebackType
from typing import Self

from tqdm import tqdm

_SLOWNESS = 0.02  # weight of the newest batch in the running means


class Watch:
    """Shows loss, mean cosine, rate and what was measured; decides nothing."""

    def __init__(self, work: Path, *, before: int, total: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._log = work / "measured.jsonl"
        self._curves = SummaryWriter(str(work / "curves"), purge_step=before)
        self._bar = tqdm(total=total, initial=before, unit="text", mininterval=5.0)
        self._smooth: dict[str, float] = {}
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._curves.close()

    def step(self, views: int, *, loss: float, cosine: float, rate: float) -> None:
        """One batch is done."""
        for name, value in (("loss", loss), ("cosine", cosine)):
            mean = self._smooth.get(name, value)
            self._smooth[name] = mean + _SLOWNESS * (value - mean)
            self._curves.add_scalar(name, value, views)
        self._curves.add_scalar("rate", rate, views)
        shown = {name: f"{value:.4f}" for name, value in self._smooth.items()}
        self._bar.set_postfix(**shown, sts=self._last, refresh=False)
        self._bar.update(views - self._bar.n)

    def measured(self, views: int, value: float, name: str) -> None:
        """The watched pairs were measured."""
        self._last = f"{value:.4f}"
        self._curves.add_scalar(f"spearman/{name}", value, views)
        line = {"views": views, "spearman": round(value, 4)}
        line |= {key: round(each, 5) for key, each in self._smooth.items()}
        with self._log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
