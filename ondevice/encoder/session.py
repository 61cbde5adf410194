"""Text to unit vectors with a small int8 BERT, one thread, nothing fetched.

A text is always run alone, without padding: the model finds its activation ranges while it runs,
and they would otherwise span a whole batch and make a text's vector depend on its company.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import ConfigError, FormatError, IntegrityError, NotReadyError

IDS, MASK = "input_ids", "attention_mask"
MODEL, TOKENIZER, NOTE = "model.onnx", "tokenizer.json", "encoder.json"
MAX_MODEL_BYTES = 256 << 20  # refused before it is read
MAX_TOKENS = 512
_REINSTALL = "reinstall the package: pip install --force-reinstall ondevice-rec"


def digest_of(model: bytes, tokenizer: bytes) -> str:
    """The name of an encoder: SHA-256 hex over both files, each after its length (8 bytes, LE)."""
    whole = hashlib.sha256()
    for blob in (model, tokenizer):
        whole.update(len(blob).to_bytes(8, "little"))
        whole.update(blob)
    return whole.hexdigest()


class Encoder:
    """An encoder that is ready: `encode` texts; `digest` names it in spaces and catalogues."""

    def __init__(
        self, *, session: Any, tokenizer: Any, digest: str, dimension: int, max_tokens: int
    ) -> None:
        self._session, self._tokenizer = session, tokenizer
        self._masked = any(each.name == MASK for each in session.get_inputs())
        self.digest, self.dimension, self.max_tokens = digest, dimension, max_tokens

    @classmethod
    def load(cls, folder: Path) -> "Encoder":
        """Open the encoder in `folder` (model.onnx, tokenizer.json, encoder.json).

        Raises:
            NotReadyError: a file is missing.
            IntegrityError: the files are not the ones that encoder.json names, or can't be run.
            FormatError: encoder.json is malformed.
        """
        model, tokenizer, note = (_read(folder / name) for name in (MODEL, TOKENIZER, NOTE))
        digest, dimension, max_tokens = _parse(note)
        if digest_of(model, tokenizer) != digest:
            raise IntegrityError(
                f"the encoder in {folder} is damaged: its files are not those its note names",
                hint=_REINSTALL,
            )
        try:
            session = _open(model)
            words = _tokenizer(tokenizer, max_tokens)
        except Exception as error:  # both libraries raise bare Exception for bytes they refuse
            raise IntegrityError(
                f"the encoder in {folder} cannot be opened: {error}", hint=_REINSTALL
            ) from error
        return cls(
            session=session,
            tokenizer=words,
            digest=digest,
            dimension=dimension,
            max_tokens=max_tokens,
        )

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of `texts`, in order.

        Args:
            texts: each is read up to `max_tokens` tokens; what follows is ignored.

        Returns:
            Shape (n, dimension); a text's row is the same in any company.

        Raises:
            ConfigError: a text is empty or only white space.
        """
        out = np.empty((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            if not text.strip():
                raise ConfigError(
                    "nothing to encode: the text is empty", hint="give at least one word"
                )
            out[row] = self._run(self._tokenizer.encode(text).ids)
        return out

    def tokens(self, text: str) -> list[str]:
        """The word pieces that `encode` reads of `text`, with the special ones at both ends."""
        pieces: list[str] = self._tokenizer.encode(text).tokens
        return pieces

    def _run(self, ids: Sequence[int]) -> NDArray[np.float32]:
        feed = {IDS: np.asarray([ids], dtype=np.int64)}
        if self._masked:
            feed[MASK] = np.ones((1, len(ids)), dtype=np.int64)
        (vectors,) = self._session.run(None, feed)
        vector: NDArray[np.float32] = vectors[0]
        return vector


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_MODEL_BYTES:
            raise IntegrityError(f"{path} has {size} bytes, more than any encoder", hint=_REINSTALL)
        return path.read_bytes()
    except OSError as error:
        raise NotReadyError(
            f"the encoder's file {path} is not there: {error.strerror}", hint=_REINSTALL
        ) from error


def _parse(note: bytes) -> tuple[str, int, int]:
    try:
        table = json.loads(note)
        digest, dimension, max_tokens = table["digest"], table["dimension"], table["max_tokens"]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"{NOTE} of the encoder is malformed: {error}", hint=_REINSTALL
        ) from error
    if not (
        isinstance(digest, str)
        and type(dimension) is int
        and type(max_tokens) is int
        and 0 < dimension <= 4096
        and 2 < max_tokens <= MAX_TOKENS
    ):
        raise FormatError(f"{NOTE} of the encoder has values out of range", hint=_REINSTALL)
    return digest, dimension, max_tokens


def _runtime() -> Any:
    """Import ONNX Runtime with its telemetry off: since 1.32 it has one, on by default on Linux.

    Only the variable keeps it quiet; by the time its own function can be called, it has started.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def _open(model: bytes) -> Any:
    onnxruntime = _runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _tokenizer(blob: bytes, max_tokens: int) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(blob)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer
