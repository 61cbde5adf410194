"""`ondevice-server evaluate-encoder`: quality, size and speed of encoders, side by side.

Speed is CPU time of one thread. The models take turns on the same texts in one run, because a
machine's pace changes from minute to minute; each model's figure is the median of its turns.
"""

import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from ondevice import paths
from ondevice.encoder.session import MODEL, TOKENIZER, Encoder
from ondevice.errors import NotReadyError
from server_tools import recipe as recipes
from server_tools import results
from server_tools.distill import sts, vocabulary
from server_tools.distill.command import teacher_folder

OURS = "ours"
_TURNS, _TEXTS = 7, 64
_WORDS = (20, 32)  # about 25 to 40 tokens
_READY = (
    "import sys, time; from pathlib import Path; p = time.process_time; t = p();"
    "import numpy, onnxruntime, tokenizers; u = p();"
    "from ondevice.encoder.session import Encoder; Encoder.load(Path(sys.argv[1]));"
    "print((p() - u) * 1000, (p() - t) * 1000)"
)

Encode = Callable[[Sequence[str]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One encoder that is measured: unit rows for texts, one by one and 32 together."""

    name: str
    bytes: int
    alone: Encode
    together: Encode


def speed_texts(pairs: Sequence[sts.Pairs], *, count: int = _TEXTS) -> list[str]:
    """Catalogue-long texts: sentences of the pairs joined until they have 20 to 32 words."""
    texts, words = [], []
    for sentence in (each for some in pairs for each in some.left):
        words += sentence.split()
        if len(words) >= _WORDS[0]:
            texts.append(" ".join(words[: _WORDS[1]]))
            words = []
        if len(texts) == count:
            break
    return texts


def speeds(
    candidates: Sequence[Candidate], texts: Sequence[str], *, turns: int = _TURNS
) -> dict[str, tuple[float, float]]:
    """Texts per CPU-second of each candidate, alone and 32 together; medians over `turns`."""
    taken: dict[str, tuple[list[float], list[float]]] = {c.name: ([], []) for c in candidates}
    for turn in range(turns + 1):
        for each in candidates:
            for slot, encode in enumerate((each.alone, each.together)):
                began = time.process_time()
                encode(texts)
                if turn:  # the first turn warms caches and is not counted
                    taken[each.name][slot].append(time.process_time() - began)
    return {
        name: (
            len(texts) / max(1e-9, statistics.median(alone)),
            len(texts) / max(1e-9, statistics.median(together)),
        )
        for name, (alone, together) in taken.items()
    }


def ready_cpu_ms(folder: Path, *, turns: int = 5) -> tuple[float, float]:
    """CPU milliseconds to open the encoder, and with its libraries' imports; medians."""
    command = [sys.executable, "-c", _READY, str(folder)]
    found = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        for _ in range(turns)
    ]
    alone, all_in = (
        round(statistics.median(map(float, each)), 1) for each in zip(*found, strict=True)
    )
    return alone, all_in


def ours(folder: Path) -> Candidate:
    """The shipped kind of encoder in `folder`."""
    encoder = Encoder.load(folder)
    size = sum((folder / name).stat().st_size for name in (MODEL, TOKENIZER))
    return Candidate(name=OURS, bytes=size, alone=encoder.encode, together=encoder.encode)


def baselines(teacher: Path, work: Path) -> list[Candidate]:
    """The teacher in ONNX Runtime, its int8, and sentence-transformers; all on one thread."""
    from optimum.exporters.onnx import main_export
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns about constants that are constant
        main_export(
            str(teacher),
            output=work / "onnx",
            task="feature-extraction",
            library_name="transformers",
            opset=18,
            no_post_process=True,
        )
    ORTQuantizer.from_pretrained(work / "onnx", file_name="model.onnx").quantize(
        save_dir=work / "int8",
        quantization_config=AutoQuantizationConfig.avx2(
            is_static=False, per_channel=True, reduce_range=True
        ),
    )
    found = [
        _onnx("teacher", work / "onnx" / "model.onnx", teacher),
        _onnx("teacher_int8", work / "int8" / "model_quantized.onnx", teacher),
    ]
    if (teacher / "modules.json").is_file():  # the folder says how sentence-transformers reads it
        found.append(_sentence_transformers(teacher))
    return found


def _onnx(name: str, model: Path, teacher: Path) -> Candidate:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    tokenizer = vocabulary.load(teacher, max_tokens=256)
    tokenizer.enable_padding()

    def encode(texts: Sequence[str], *, batch: int) -> Any:
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        out: Any = None
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            read = tokenizer.encode_batch([texts[row] for row in rows])
            ids = np.asarray([each.ids for each in read], dtype=np.int64)
            mask = np.asarray([each.attention_mask for each in read], dtype=np.int64)
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            (hidden,) = session.run(None, feed)
            total = (hidden * mask[:, :, None]).sum(1)
            out = np.empty((len(texts), total.shape[1]), np.float32) if out is None else out
            out[rows] = total / np.linalg.norm(total, axis=1, keepdims=True)
        return out

    return Candidate(
        name=name,
        bytes=model.stat().st_size + (teacher / "tokenizer.json").stat().st_size,
        alone=lambda texts: encode(texts, batch=1),
        together=lambda texts: encode(texts, batch=32),
    )


def _sentence_transformers(teacher: Path) -> Candidate:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    model = SentenceTransformer(str(teacher), device="cpu", local_files_only=True)

    def encode(texts: Sequence[str], *, batch: int) -> Any:
        return model.encode(
            list(texts), batch_size=batch, normalize_embeddings=True, show_progress_bar=False
        )

    files = (teacher / "model.safetensors", teacher / "tokenizer.json")
    return Candidate(
        name="sentence_transformers",
        bytes=sum(path.stat().st_size for path in files if path.is_file()),
        alone=lambda texts: encode(texts, batch=1),
        together=lambda texts: encode(texts, batch=32),
    )


def machine() -> str:
    """The processor's name and whether it multiplies 8-bit integers without saturating."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "one machine"
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    vnni = "with" if "vnni" in named.get("flags", "") else "without"
    return f"{named.get('model name', 'a processor')} {vnni} VNNI"


def measure(
    candidates: Sequence[Candidate], pairs: Sequence[sts.Pairs], *, turns: int = _TURNS
) -> list[dict[str, Any]]:
    """One row for each candidate, as CLI.md names the keys."""
    pace = speeds(candidates, speed_texts(pairs), turns=turns)
    return [
        {
            "name": each.name,
            "bytes": each.bytes,
            "texts_per_cpu_s": round(pace[each.name][0], 1),
            "texts_per_cpu_s_batch_32": round(pace[each.name][1], 1),
            "spearman": {some.name: round(sts.spearman(some, each.together), 4) for some in pairs},
        }
        for each in candidates
    ]


@click.command("evaluate-encoder")
@click.option(
    "--sts",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Tab-separated score, sentence1, sentence2; repeatable.",
)
@click.option(
    "--baselines",
    "with_baselines",
    is_flag=True,
    help="Also the teacher in ONNX Runtime, its int8, and sentence-transformers.",
)
@click.option(
    "--encoder", "folder", type=click.Path(path_type=Path), help="The shipped one by default."
)
@click.option(
    "--teacher", type=click.Path(path_type=Path), help="A local BERT folder instead of the package."
)
@click.option(
    "--data",
    "sets",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    help="A data set, as for `evaluate`: NDCG@10 beside the teacher; repeatable.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".work"),
    show_default=True,
    help="Where encoded texts are kept.",
)
@click.option("--write", is_flag=True, help="Keep it in the encoder's results.json and CARD.md.")
def evaluate_encoder(
    files: tuple[Path, ...],
    with_baselines: bool,  # noqa: FBT001 - a flag of the command line
    folder: Path | None,
    teacher: Path | None,
    sets: tuple[Path, ...],
    work: Path,
    write: bool,  # noqa: FBT001 - a flag of the command line
) -> None:
    """Measure an encoder's quality, size and speed. JSON on stdout."""
    place = folder or paths.bundled("encoder")
    pairs = [sts.read(path) for path in files]
    with tempfile.TemporaryDirectory(prefix="ondevice-evaluate-") as name:
        candidates = [ours(place)]
        if with_baselines:
            recipe = recipes.read(place / "recipe.toml")
            candidates += baselines(teacher_folder(recipe.teacher, teacher), Path(name))
        models = measure(candidates, pairs)
    models[0]["ready_cpu_ms"], models[0]["ready_with_imports_cpu_ms"] = ready_cpu_ms(place)
    found: dict[str, Any] = {"schema": 1, "machine": machine(), "models": models}
    if sets:
        from server_tools.evaluate import following, vectors

        found["ndcg"] = following.ndcg(
            {each.name: each for each in sets},
            Encoder.load(place),
            work,
            teacher=functools.cache(vectors.Teacher),
        )
    if write:
        keep(place, found)
    click.echo(json.dumps(found))


def keep(folder: Path, found: dict[str, Any]) -> None:
    """Put what was measured into the encoder's results and write its card anew.

    Raises:
        NotReadyError: the folder has no results to add to.
    """
    from server_tools.export import ablation, card, plot

    path = folder / results.NAME
    if not path.is_file():
        raise NotReadyError(
            f"{path} is missing: this encoder was not made by `quantize`",
            hint="leave --write out, or run `ondevice-server quantize RECIPE` first",
        )
    kept = results.read(path) | {"evaluation": found}
    results.write(path, kept)
    recipe = recipes.read(folder / "recipe.toml")
    rows = ablation.rows(folder)
    plot.write(folder, kept)
    (folder / "CARD.md").write_text(card.card(recipe, kept, rows), encoding="utf-8")
