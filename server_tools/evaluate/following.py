"""How well a small encoder serves where its teacher would: NDCG without anything learnt."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server_tools.evaluate import baselines, data, protocols, vectors

if TYPE_CHECKING:
    from server_tools.embed.local import TextEncoder


def ndcg(
    folders: Mapping[str, Path],
    encoder: "TextEncoder",
    work: Path,
    *,
    teacher: "Callable[[], TextEncoder]",
    seed: int = 0,
) -> dict[str, Any]:
    """NDCG@10 of `zero-shot` lists by the mean of a person's items, for encoder and teacher.

    Args:
        folders: name → folder of a data set.
        encoder: the small one.
        work: where encoded texts are kept.
        teacher: opens the large one, if its vectors are not in `work`.
        seed: of the split.

    Returns:
        name → `ours`, `teacher` (NDCG@10) and `ratio`, rounded to 4 digits.
    """
    found: dict[str, Any] = {}
    for name, folder in folders.items():
        dataset = data.load(folder)
        parts = data.split(dataset, seed=seed)
        figures = []
        for each in (encoder, teacher()):
            rows = vectors.cached(each, dataset.texts, work)
            counts = baselines.counts(parts.publisher, len(dataset.items))
            bench = protocols.bench_of(parts.devices, counts, rows)
            measured = bench.figures(baselines.cosine(rows)).total().ndcg
            figures.append(float(measured))
        small, large = figures
        found[name] = {
            "ours": round(small, 4),
            "teacher": round(large, 4),
            "ratio": round(small / large, 4) if large else None,
        }
    return found
