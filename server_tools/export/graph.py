"""Edits on an exported BERT graph, so that one file takes token ids and gives unit vectors."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ondevice.errors import FormatError

HIDDEN, VECTOR = "last_hidden_state", "vector"
TYPES = "token_type_ids"


def drop_token_types(model: Any) -> None:
    """Remove the token-type input; its first row must have been added to the positions already.

    Raises:
        FormatError: the graph does not add a token-type embedding.
    """
    graph = model.graph
    gather = next((n for n in graph.node if n.op_type == "Gather" and TYPES in n.input), None)
    add = next((n for n in graph.node if gather and gather.output[0] in n.input), None)
    if gather is None or add is None or add.op_type != "Add":
        raise FormatError("the exported graph has no token-type embedding to remove")
    other = next(name for name in add.input if name != gather.output[0])
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == add.output[0]:
                node.input[index] = other
    graph.node.remove(gather)
    graph.node.remove(add)
    table = next(each for each in graph.initializer if each.name == gather.input[0])
    graph.initializer.remove(table)
    graph.input.remove(next(each for each in graph.input if each.name == TYPES))


def pool(model: Any, *, width: int) -> None:
    """Mean over real tokens, then L2: the graph's only output becomes `vector` (n, width).

    The sum is enough: its scale falls away when the row is normalised.
    """
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([2], np.int64), "pool.axis"))
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "pool.tokens"))
    graph.node.extend(
        [
            helper.make_node("Cast", ["attention_mask"], ["pool.mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["pool.mask", "pool.axis"], ["pool.weights"]),
            helper.make_node("Mul", [HIDDEN, "pool.weights"], ["pool.kept"]),
            helper.make_node("ReduceSum", ["pool.kept", "pool.tokens"], ["pool.sum"], keepdims=0),
            helper.make_node("LpNormalization", ["pool.sum"], [VECTOR], axis=1, p=2),
        ]
    )
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info(VECTOR, TensorProto.FLOAT, ["batch_size", width])
    )


def activation_products(model: Any) -> list[str]:
    """Names of the products of two activations (inside attention), which stay float.

    They have no weights to shrink, and two ranges found at run time cost more than they save.
    """
    weights = {each.name for each in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and weights.isdisjoint(node.input)
    ]


def shrink_words(model: Any) -> None:
    """Store the word embeddings as int8 with one scale a row: 8 bits each, read only where used.

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
    dense = numpy_helper.to_array(table)
    scales = np.maximum(np.abs(dense).max(axis=1, keepdims=True) / 127.0, np.float32(1e-12))
    codes = np.rint(dense / scales).astype(np.int8)
    at, result = list(graph.node).index(gather), gather.output[0]
    graph.initializer.remove(table)
    graph.node.remove(gather)
    graph.initializer.append(numpy_helper.from_array(codes, "words.codes"))
    graph.initializer.append(numpy_helper.from_array(scales.astype(np.float32), "words.scales"))
    added = [
        helper.make_node("Gather", ["words.codes", "input_ids"], ["words.code"], axis=0),
        helper.make_node("Cast", ["words.code"], ["words.float"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["words.scales", "input_ids"], ["words.scale"], axis=0),
        helper.make_node("Mul", ["words.float", "words.scale"], [result]),
    ]
    for offset, node in enumerate(added):
        graph.node.insert(at + offset, node)


def check(model: Any) -> None:
    """Refuse a graph that ONNX's own checker refuses."""
    onnx.checker.check_model(model, full_check=False)
