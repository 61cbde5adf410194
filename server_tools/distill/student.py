"""Models as functions: load a teacher, cut a student out of it, pool tokens to unit vectors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModel, BertConfig, BertModel

from ondevice.errors import ConfigError
from server_tools.recipe import StudentRecipe

WORDS = "embeddings.word_embeddings.weight"


def load_teacher(folder: Path) -> Any:
    """The BERT in `folder`, for inference; nothing is ever fetched.

    Raises:
        ConfigError: no model there, or not of the BERT family.
    """
    try:
        model = AutoModel.from_pretrained(
            folder, local_files_only=True, attn_implementation="sdpa", dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no model can be loaded from {folder}: {error}",
            hint="name a folder with config.json and model.safetensors by --teacher DIR",
        ) from error
    if model.config.model_type != "bert":
        raise ConfigError(f"the teacher is a '{model.config.model_type}', only BERT can be cut")
    return model.eval()


def prune(model: Any, width: int, rows: Sequence[Sequence[int]], *, pad_id: int) -> Any:
    """A copy of `model` whose feed-forward blocks have only `width` neurons, the weightiest.

    A neuron weighs what it adds to the block's output on the texts `rows` (token ids). The kept
    ones take over what they can of the others: their outgoing weights solve a least-squares
    problem, ridged, against the whole block's output.
    """
    config = BertConfig.from_dict(model.config.to_dict() | {"intermediate_size": width})
    config._attn_implementation = "sdpa"  # noqa: SLF001 - to_dict leaves it out
    small = BertModel(config, add_pooling_layer=False)  # type: ignore[no-untyped-call]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    grams = _grams(model, rows, pad_id=pad_id)
    for index, (layer, gram) in enumerate(zip(model.encoder.layer, grams, strict=True)):
        out = layer.output.dense.weight.detach().double()
        keep = (gram.diagonal() * out.square().sum(0)).topk(width).indices.sort().values
        inner = gram[keep][:, keep]
        inner += 1e-3 * inner.diagonal().mean() * torch.eye(width, dtype=torch.float64)
        solved = torch.linalg.solve(inner, gram[keep] @ out.T)
        stem = f"encoder.layer.{index}"
        weights[f"{stem}.output.dense.weight"] = solved.T.float().contiguous()
        for part in ("weight", "bias"):
            name = f"{stem}.intermediate.dense.{part}"
            weights[name] = weights[name][keep].clone()
    small.load_state_dict({name: weights[name] for name in small.state_dict()})
    return small


def _grams(model: Any, rows: Sequence[Sequence[int]], *, pad_id: int) -> list[Any]:
    """For each layer, how its feed-forward neurons are active together, (neurons, neurons)."""
    width = model.config.intermediate_size
    grams = [torch.zeros(width, width, dtype=torch.float64) for _ in model.encoder.layer]
    real: list[Any] = []

    def add(index: int, active: Any) -> None:
        kept = active[real[-1]]
        grams[index] += (kept.T @ kept).double()

    hooks = [
        layer.output.dense.register_forward_hook(
            lambda _, given, __, index=index: add(index, given[0])
        )
        for index, layer in enumerate(model.encoder.layer)
    ]
    ordered = sorted(rows, key=len)
    with torch.no_grad():
        for start in range(0, len(ordered), 32):
            ids, mask = pad(ordered[start : start + 32], pad_id=pad_id)
            real.append(mask.bool())
            model(input_ids=ids, attention_mask=mask)
    for hook in hooks:
        hook.remove()
    return grams


def with_words(model: Any, teacher: Any, had: Sequence[int], kept: Sequence[int]) -> Any:
    """A copy of `model`, which knows the teacher's tokens `had`, that knows `kept` instead.

    What it does not know yet, it takes from the teacher.
    """
    config = BertConfig.from_dict(model.config.to_dict() | {"vocab_size": len(kept)})
    config._attn_implementation = "sdpa"  # noqa: SLF001 - to_dict leaves it out
    other = BertModel(config, add_pooling_layer=False)  # type: ignore[no-untyped-call]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    mine = dict(zip(had, weights[WORDS], strict=True))
    theirs = teacher.state_dict()[WORDS]
    weights[WORDS] = torch.stack([mine.get(token, theirs[token]) for token in kept])
    other.load_state_dict({name: weights[name] for name in other.state_dict()})
    return other


def cut(teacher: Any, recipe: StudentRecipe, kept: Sequence[int]) -> Any:
    """A student with some of the teacher's layers and the embeddings of the `kept` tokens.

    Raises:
        ConfigError: a layer or position that the teacher does not have.
    """
    config = teacher.config
    if max(recipe.layers) >= config.num_hidden_layers or min(recipe.layers) < 0:
        raise ConfigError(
            f"student.layers = {list(recipe.layers)}, but the teacher has layers 0 to "
            f"{config.num_hidden_layers - 1}"
        )
    if recipe.max_tokens > config.max_position_embeddings:
        raise ConfigError(f"the teacher has only {config.max_position_embeddings} positions")
    student = BertModel(  # type: ignore[no-untyped-call]
        BertConfig(  # type: ignore[no-untyped-call]
            vocab_size=len(kept),
            hidden_size=config.hidden_size,
            num_hidden_layers=len(recipe.layers),
            num_attention_heads=config.num_attention_heads,
            intermediate_size=config.intermediate_size,
            hidden_act=config.hidden_act,
            max_position_embeddings=recipe.max_tokens,
            type_vocab_size=config.type_vocab_size,
            layer_norm_eps=config.layer_norm_eps,
            hidden_dropout_prob=0.0,  # one or two views of each text leave nothing to over-fit
            attention_probs_dropout_prob=0.0,
            pad_token_id=0,
            attn_implementation="sdpa",
        ),
        add_pooling_layer=False,
    )
    weights = teacher.state_dict()
    taken = {}
    for name, value in student.state_dict().items():
        source = name
        if name.startswith("encoder.layer."):
            _, _, index, tail = name.split(".", 3)
            source = f"encoder.layer.{recipe.layers[int(index)]}.{tail}"
        found = weights[source]
        if name == "embeddings.word_embeddings.weight":
            found = found[torch.tensor(list(kept))]
        taken[name] = found[: value.shape[0]].clone()
    student.load_state_dict(taken)
    return student


def pad(rows: Sequence[Sequence[int]], *, pad_id: int) -> tuple[Any, Any]:
    """Token ids and attention mask, shape (n, longest) each."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(list(row))
        mask[index, : len(row)] = 1
    return ids, mask


def embed(model: Any, rows: Sequence[Sequence[int]], *, pad_id: int) -> Any:
    """Unit vectors (n, width) of tokenised texts: mean over tokens, then L2."""
    ids, mask = pad(rows, pad_id=pad_id)
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return torch.nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)


def embed_texts(model: Any, tokenizer: Tokenizer, texts: Sequence[str], *, batch: int = 64) -> Any:
    """Unit float32 vectors (n, width) of `texts`, in order, without gradients."""
    pad_id = tokenizer.token_to_id("[PAD]") or 0
    rows = [each.ids for each in tokenizer.encode_batch(list(texts))]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    out = torch.empty((len(rows), model.config.hidden_size), dtype=torch.float32)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            some = order[start : start + batch]
            out[some] = embed(model, [rows[index] for index in some], pad_id=pad_id)
    return out
