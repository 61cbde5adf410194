"""The teacher's vectors of the pool, made chunk by chunk and kept on disk.

`teacher.f16` is a (texts, width) array of half floats; `teacher.done` has one byte for each chunk
that is complete. Training always reads through the file, so a resumed run sees the same numbers.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DONE = 1


class Targets:
    """A cache of teacher vectors; `teach` is asked only for chunks that are not on disk."""

    def __init__(
        self,
        folder: Path,
        texts: Sequence[str],
        *,
        width: int,
        chunk: int,
        teach: Callable[[Sequence[str]], Any],
    ) -> None:
        self._texts, self._chunk, self._teach = texts, chunk, teach
        shape = (len(texts), width)
        path, marks = folder / "teacher.f16", folder / "teacher.done"
        chunks = -(-len(texts) // chunk)
        fresh = not path.is_file() or path.stat().st_size != shape[0] * shape[1] * 2
        if fresh or not marks.is_file() or marks.stat().st_size != chunks:
            marks.write_bytes(bytes(chunks))
            fresh = True
        self._vectors = np.memmap(path, "<f2", "w+" if fresh else "r+", shape=shape)
        self._done = np.memmap(marks, np.uint8, "r+", shape=(chunks,))

    def rows(self, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors (n, width) of the texts at `wanted`, computing the chunks they lie in."""
        for chunk in np.unique(wanted // self._chunk):
            if self._done[chunk] != _DONE:
                start = int(chunk) * self._chunk
                texts = self._texts[start : start + self._chunk]
                self._vectors[start : start + len(texts)] = np.asarray(self._teach(texts), "<f2")
                self._vectors.flush()
                self._done[chunk] = _DONE
                self._done.flush()
        return np.asarray(self._vectors[wanted], dtype=np.float32)
