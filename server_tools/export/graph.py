"""Edits on the exported graph: which products stay float, how the word embeddings are stored."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ondevice.errors import FormatError

F32 = NDArray[np.float32]
_CLIPS = np.linspace(0.6, 1.0, 9, dtype=np.float32)  # parts of a row's largest value tried as limit


def activation_products(model: Any) -> list[str]:
    """Names of the products of two activations (inside attention), which stay float.

    They have no weights to shrink, and two ranges found at run time cost more than they save.
    """
    weights = {each.name for each in model.graph.initializer}
    weights |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and weights.isdisjoint(node.input)
    ]


def quantise_rows(dense: F32, *, bits: int) -> tuple[NDArray[np.int8], F32]:
    """Codes and scales of `dense` (n, width), one scale a row, with the least squared error.

    Returns:
        Codes from -(2^(bits-1) - 1) to its opposite, (n, width), and scales, (n, 1).
    """
    top = np.float32(2 ** (bits - 1) - 1)
    largest = np.maximum(np.abs(dense).max(axis=1, keepdims=True), np.float32(1e-12))
    best, scales = np.full(len(dense), np.inf, np.float32), largest / top
    for clip in _CLIPS:
        scale = largest * clip / top
        error = np.square(np.clip(np.rint(dense / scale), -top, top) * scale - dense).sum(axis=1)
        better = error < best
        best[better], scales[better] = error[better], scale[better]
    return np.clip(np.rint(dense / scales), -top, top).astype(np.int8), scales


def shrink_words(model: Any, *, bits: int) -> None:
    """Store the word embeddings as 8 or 4 bits with one scale a row, read only where used.

    With 4 bits a byte holds two values: its low half one of the row's first half, its high half
    the one as far into the second half.

    Raises:
        FormatError: the graph does not look words up by `input_ids`.
    """
    graph = model.graph
    gather = next(
        (n for n in graph.node if n.op_type == "Gather" and n.input[1] == "input_ids"), None
    )
    if gather is None:
        raise FormatError("the exported graph has no word embedding to shrink")
    table = next(each for each in graph.initializer if each.name == gather.input[0])
    codes, scales = quantise_rows(numpy_helper.to_array(table), bits=bits)
    at, result = list(graph.node).index(gather), gather.output[0]
    graph.initializer.remove(table)
    graph.node.remove(gather)
    graph.initializer.append(numpy_helper.from_array(scales, "words.scales"))
    added = _packed(graph, codes) if bits == 4 else _plain(graph, codes)
    added += [
        helper.make_node("Gather", ["words.scales", "input_ids"], ["words.scale"], axis=0),
        helper.make_node("Mul", ["words.float", "words.scale"], [result]),
    ]
    for offset, node in enumerate(added):
        graph.node.insert(at + offset, node)


def _plain(graph: Any, codes: NDArray[np.int8]) -> list[Any]:
    graph.initializer.append(numpy_helper.from_array(codes, "words.codes"))
    return [
        helper.make_node("Gather", ["words.codes", "input_ids"], ["words.code"], axis=0),
        helper.make_node("Cast", ["words.code"], ["words.float"], to=TensorProto.FLOAT),
    ]


def _packed(graph: Any, codes: NDArray[np.int8]) -> list[Any]:
    half, shift = codes.shape[1] // 2, (codes + 8).astype(np.uint8)
    graph.initializer.extend(
        [
            numpy_helper.from_array(shift[:, :half] | shift[:, half:] << 4, "words.codes"),
            numpy_helper.from_array(np.array(15, np.uint8), "words.low"),
            numpy_helper.from_array(np.array(4, np.uint8), "words.four"),
            numpy_helper.from_array(np.array(8, np.float32), "words.zero"),
        ]
    )
    return [
        helper.make_node("Gather", ["words.codes", "input_ids"], ["words.pair"], axis=0),
        helper.make_node("BitwiseAnd", ["words.pair", "words.low"], ["words.first"]),
        helper.make_node(
            "BitShift", ["words.pair", "words.four"], ["words.second"], direction="RIGHT"
        ),
        helper.make_node("Concat", ["words.first", "words.second"], ["words.code"], axis=-1),
        helper.make_node("Cast", ["words.code"], ["words.shifted"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["words.shifted", "words.zero"], ["words.float"]),
    ]


def check(model: Any) -> None:
    """Refuse a graph that ONNX's own checker refuses."""
    onnx.checker.check_model(model, full_check=False)
