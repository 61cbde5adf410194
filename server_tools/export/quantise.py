"""A float student becomes the folder that devices load; how far it moved is measured."""

import json
import random
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ondevice.encoder.session import MODEL, NOTE, TOKENIZER, Encoder, digest_of
from ondevice.errors import OnDeviceError
from server_tools.distill import corpus, sts
from server_tools.export import graph
from server_tools.recipe import QuantiseRecipe, Recipe

_SHOWN = 300  # texts that show the ranges of activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How the int8 encoder compares with the float student."""

    texts: int
    mean_cosine: float
    min_cosine: float
    spearman_float: float | None
    spearman_int8: float | None
    bytes_model: int
    bytes_tokenizer: int


def export(
    student: Any, tokenizer: str, recipe: Recipe, out: Path, *, texts: Sequence[str] = ()
) -> str:
    """Write model.onnx, tokenizer.json and encoder.json into `out`; returns the digest.

    Args:
        student: a float BERT.
        tokenizer: its tokenizer, as JSON text.
        recipe: names, bits and bounds.
        out: a folder to fill.
        texts: what the student has learnt from; static ranges are taken over the first of them.
    """
    import onnxruntime
    import torch
    from tokenizers import Tokenizer

    width = int(student.config.hidden_size)
    words = Tokenizer.from_str(tokenizer)
    words.no_padding()
    words.enable_truncation(recipe.student.max_tokens)
    shown = [each.ids for each in words.encode_batch(list(texts[:_SHOWN]))]
    with tempfile.TemporaryDirectory(prefix="ondevice-export-") as name:
        model = _quantised(student.eval(), recipe.quantise, Path(name), shown=shown)
    out.mkdir(parents=True, exist_ok=True)
    files = {MODEL: model.SerializeToString(), TOKENIZER: tokenizer.encode()}
    digest = digest_of(files[MODEL], files[TOKENIZER])
    note = {
        "schema": 1,
        "name": recipe.name,
        "digest": digest,
        "recipe": recipe.digest,
        "dimension": width,
        "max_tokens": recipe.student.max_tokens,
        "tokens": words.get_vocab_size(),
        "versions": {
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "torch": torch.__version__,
        },
    }
    files[NOTE] = (json.dumps(note, indent=1) + "\n").encode()
    for name, blob in files.items():
        partial = out / f"{name}.partial"
        partial.write_bytes(blob)
        partial.replace(out / name)
    return digest


def _quantised(
    student: Any, recipe: QuantiseRecipe, folder: Path, *, shown: Sequence[Sequence[int]]
) -> Any:
    """The student as one ONNX model with int8 weights, through `folder`."""
    from onnxruntime.quantization import QuantType
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    from server_tools.export import lean

    student.config.save_pretrained(folder)  # the quantiser asks for it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns about constants that are constant
        lean.export(student, folder / "model.onnx", opset=recipe.opset)
    model = onnx.load(folder / "model.onnx")
    config = getattr(AutoQuantizationConfig, recipe.target)(
        is_static=recipe.static,
        per_channel=recipe.per_channel,
        **({"reduce_range": recipe.reduce_range} if recipe.target == "avx2" else {}),
        operators_to_quantize=["MatMul"],
        nodes_to_exclude=graph.activation_products(model),
    )
    config.weights_dtype = QuantType.QInt8  # u8 x s8 has the faster kernels
    quantizer = ORTQuantizer.from_pretrained(folder, file_name="model.onnx")
    ranges = _ranges(quantizer, config, shown, folder) if recipe.static else None
    quantizer.quantize(
        save_dir=folder / "int8",
        quantization_config=config,
        calibration_tensors_range=ranges,
    )
    model = onnx.load(folder / "int8" / "model_quantized.onnx")
    graph.shrink_words(model, bits=recipe.word_bits)
    graph.check(model)
    return model


def _ranges(quantizer: Any, config: Any, shown: Sequence[Sequence[int]], folder: Path) -> Any:
    """The range of every activation over the texts `shown`, for static quantisation."""
    from onnxruntime.quantization import CalibrationMethod
    from optimum.onnxruntime.configuration import CalibrationConfig

    texts = [{"input_ids": list(ids)} for ids in shown]
    return quantizer.fit(
        dataset=texts,
        calibration_config=CalibrationConfig(
            dataset_name="pool",
            dataset_config_name="texts",
            dataset_split="first",
            dataset_num_samples=len(texts),
            method=CalibrationMethod.MinMax,
        ),
        operators_to_quantize=config.operators_to_quantize,
        onnx_augmented_model_name=folder / "augmented.onnx",
    )


def held_out(
    corpora: Sequence[corpus.Corpus], pool: Sequence[str], *, size: int, seed: int
) -> list[str]:
    """Lines that no text of the pool contains, evenly from all corpora."""
    rng, learnt = random.Random(seed), "\n".join(pool)
    found: list[str] = []
    for each in corpora:
        want = -(-size // max(1, len(corpora)))
        lines = rng.sample(each.lines, min(len(each.lines), 20 * want))
        fresh = (line for line in lines if line not in learnt)
        found.extend(line for line, _ in zip(fresh, range(want), strict=False))
    rng.shuffle(found)
    return found[:size]


def compare(
    encoder: Encoder,
    folder: Path,
    float_encode: Callable[[Sequence[str]], Any],
    texts: Sequence[str],
    pairs: sts.Pairs | None,
) -> Parity:
    """Measure the int8 encoder against the float student on texts neither has learnt from."""
    ours = encoder.encode(texts).astype(np.float64)
    theirs = np.asarray(float_encode(texts), dtype=np.float64)
    cosines = (ours * theirs).sum(1)
    return Parity(
        texts=len(texts),
        mean_cosine=round(float(cosines.mean()), 5),
        min_cosine=round(float(cosines.min()), 5),
        spearman_float=round(sts.spearman(pairs, float_encode), 4) if pairs else None,
        spearman_int8=round(sts.spearman(pairs, encoder.encode), 4) if pairs else None,
        bytes_model=(folder / MODEL).stat().st_size,
        bytes_tokenizer=(folder / TOKENIZER).stat().st_size,
    )


def require(parity: Parity, recipe: QuantiseRecipe) -> None:
    """Fail the build when the int8 encoder is too far from the student, or too large.

    Raises:
        OnDeviceError: a bound of the recipe is broken; the message names it.
    """
    size = parity.bytes_model + parity.bytes_tokenizer
    for name, value, bound, broken in (
        (
            "mean cosine",
            parity.mean_cosine,
            recipe.parity_mean,
            parity.mean_cosine < recipe.parity_mean,
        ),
        (
            "smallest cosine",
            parity.min_cosine,
            recipe.parity_min,
            parity.min_cosine < recipe.parity_min,
        ),
        ("size in bytes", size, recipe.max_bytes, size > recipe.max_bytes),
    ):
        if broken:
            raise OnDeviceError(
                f"the int8 encoder's {name} is {value}, the recipe's bound is {bound}",
                hint="see [quantise] of the recipe; nothing has replaced the encoder in place",
            )


def table(parity: Parity) -> dict[str, Any]:
    """The report as JSON values."""
    return asdict(parity)
