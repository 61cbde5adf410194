"""A BERT for one text at a time: token ids in, a unit vector out, and nothing that padding needs.

Without a mask, token types or three separate projections there are fewer and larger products,
which is what a small model on one thread spends its time on.
"""

from pathlib import Path
from typing import Any

import torch

IDS, VECTOR = "input_ids", "vector"


class Lean(torch.nn.Module):
    """The same function as a BERT with mean pooling, for texts without padding."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        with torch.no_grad():
            self.words = bert.embeddings.word_embeddings
            table = bert.embeddings.position_embeddings.weight
            kind = bert.embeddings.token_type_embeddings.weight[0]
            self.positions = torch.nn.Parameter((table + kind).clone())
            self.norm = bert.embeddings.LayerNorm
            self.layers = torch.nn.ModuleList(_Layer(each) for each in bert.encoder.layer)

    def forward(self, input_ids: Any) -> Any:
        """Unit vectors (n, width) of token ids (n, tokens)."""
        hidden = self.norm(self.words(input_ids) + self.positions[: input_ids.shape[1]])
        for layer in self.layers:
            hidden = layer(hidden)
        return torch.nn.functional.normalize(hidden.sum(1), dim=-1)


class _Layer(torch.nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        own = layer.attention.self
        self.heads, self.size = own.num_attention_heads, own.attention_head_size
        scale = self.size**-0.5
        width = own.query.in_features
        self.inward = torch.nn.Linear(width, 3 * own.all_head_size)
        parts = ((own.query, scale), (own.key, 1.0), (own.value, 1.0))
        with torch.no_grad():
            self.inward.weight.copy_(torch.cat([each.weight * by for each, by in parts]))
            self.inward.bias.copy_(torch.cat([each.bias * by for each, by in parts]))
        self.outward, self.norm = layer.attention.output.dense, layer.attention.output.LayerNorm
        self.wide, self.narrow = layer.intermediate.dense, layer.output.dense
        self.last = layer.output.LayerNorm

    def forward(self, hidden: Any) -> Any:
        rows, tokens = hidden.shape[0], hidden.shape[1]
        split = self.inward(hidden).view(rows, tokens, 3, self.heads, self.size)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        heed = (query @ key.transpose(-1, -2)).softmax(-1)
        mixed = (heed @ value).transpose(1, 2).reshape(rows, tokens, self.heads * self.size)
        hidden = self.norm(hidden + self.outward(mixed))
        return self.last(hidden + self.narrow(torch.nn.functional.gelu(self.wide(hidden))))


def export(bert: Any, path: Path, *, opset: int) -> None:
    """Write the float model to `path` as ONNX: `input_ids` (n, tokens) → `vector` (n, width)."""
    model = Lean(bert).eval()
    example = torch.ones((1, 7), dtype=torch.long)
    torch.onnx.export(
        model,
        (example,),
        str(path),
        dynamo=False,  # the graph it makes is read by the quantiser as it is
        opset_version=opset,
        input_names=[IDS],
        output_names=[VECTOR],
        dynamic_axes={IDS: {0: "texts", 1: "tokens"}, VECTOR: {0: "texts"}},
    )
