"""From data sets to a head: read, encode, train, and keep what was trained before."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ondevice.errors import ConfigError
from ondevice.formats.tensors import F32
from server_tools.head import learned, trainer
from server_tools.head.learned import Learned
from server_tools.head.trainer import HeadRecipe, Kept

_SOURCES = ("batches", "judge", "model", "statistics", "trainer")


def fit(
    ids: Sequence[str],
    vectors: F32,
    histories: Sequence[Sequence[int]],
    *,
    encoder: str,
    texts: Sequence[str] = (),
    recipe: HeadRecipe,
    keep: Learned | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Learned:
    """Train a head on n items.

    Args:
        ids: of the items.
        vectors: (n, e), of their texts.
        histories: rows of items that each user chose, oldest first.
        encoder: digest of the encoder, hex.
        texts: of the items, so that exact mode may count words; none: it doesn't.
        recipe: choices.
        keep: an earlier head whose space the new one should stay near.
        say: told what is going on.

    Raises:
        ConfigError: too few users, or `keep` belongs to another encoder.
    """
    kept = None if keep is None else _kept(keep, ids, vectors, encoder=encoder)
    found = trainer.train(
        vectors,
        histories,
        encoder=encoder,
        texts=texts,
        recipe=recipe,
        kept=kept,
        say=say,
    )
    return Learned(space=found.space, ids=tuple(ids), residual=found.residual, bias=found.bias)


def cached(
    ids: Sequence[str],
    vectors: F32,
    histories: Sequence[Sequence[int]],
    *,
    encoder: str,
    texts: Sequence[str] = (),
    recipe: HeadRecipe,
    work: Path,
    say: Callable[[str], None] = lambda _: None,
) -> Learned:
    """Return `fit`, from `work` where the same code learned from the same data before."""
    digest = hashlib.sha256(repr((encoder, recipe)).encode())
    for name in _SOURCES:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    for item in (*ids, *texts):
        blob = item.encode("utf-8", "surrogatepass")
        digest.update(len(blob).to_bytes(4, "big") + blob)
    digest.update(np.ascontiguousarray(vectors).tobytes())
    for rows in histories:
        digest.update(np.array([len(rows), *rows], dtype=np.int64).tobytes())
    folder = work / "heads" / digest.hexdigest()[:32]
    if learned.has_items(folder):
        return learned.read(folder)
    say("head: training on the publisher's users")
    found = fit(ids, vectors, histories, encoder=encoder, texts=texts, recipe=recipe, say=say)
    draft = folder.with_suffix(f".{os.getpid()}")
    learned.write(found, draft)
    if learned.has_items(folder):  # another process was faster
        shutil.rmtree(draft)
    else:
        draft.rename(folder)
    return found


def _kept(keep: Learned, ids: Sequence[str], vectors: F32, *, encoder: str) -> Kept:
    if keep.space.encoder != encoder:
        raise ConfigError(
            "the head to keep belongs to another encoder",
            hint="train without --keep; devices carry their profile over by a public map",
        )
    residual, _ = keep.of(ids)
    known = set(keep.ids)
    return Kept(
        centre=keep.space.centre,
        projection=keep.space.projection,
        items=keep.space.project(vectors, residual),
        known=np.array([float(item in known) for item in ids]),
    )
