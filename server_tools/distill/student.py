"""Models as functions: load a teacher, cut a student out of it, pool tokens to unit vectors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModel, BertConfig, BertModel

from ondevice.errors import ConfigError
from server_tools.recipe import StudentRecipe


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
