"""A tiny random BERT, its corpora and a recipe: a whole distillation in seconds."""

import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

_WORDS = """lamp kettle film detective garden tractor ribbon copper window engine market island
winter letter harbour violin saddle theorem pepper canvas meadow satchel turbine lantern"""
WORDS = _WORDS.split()
LETTERS = "abcdefghijklmnopqrstuvwxyz.,"

RECIPE = """
name = "tiny"
seed = 7

[teacher]
package = "no_such_package"
max_tokens = 64

[student]
layers = [0, 2]
vocabulary = {vocabulary}
max_tokens = 32

[texts]
pool = 200
joined = 0.2
composed = 0.2
clipped = 0.1

[texts.shares]
short = 1.0
long = 2.0

[training]
views = {views}
decay = {decay}
warm_up = 64
batch = 16
embeddings_after = 128
chunk = 64

[measure]
sts = "pairs.tsv"
every = 160
checkpoint_seconds = 0.0

[quantise]
parity_texts = 40
parity_mean = {parity_mean}
parity_min = 0.8

[sources.short]
title = "Short lines"
licence = "CC0"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """Where everything of a tiny distillation lies."""

    root: Path

    @property
    def teacher(self) -> Path:
        return self.root / "teacher"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def sts(self) -> Path:
        return self.root / "sts"

    def recipe(
        self,
        name: str = "recipe.toml",
        *,
        views: int = 400,
        decay: int = 160,
        vocabulary: int = 75,
        parity_mean: float = 0.9,
        **more: str,
    ) -> Path:
        """Write a recipe; `more` names sections and the lines that are added to them."""
        path = self.root / name
        text = RECIPE.format(
            views=views, decay=decay, vocabulary=vocabulary, parity_mean=parity_mean
        )
        for section, lines in more.items():
            text = text.replace(f"[{section}]\n", f"[{section}]\n{lines}\n", 1)
        path.write_text(text, encoding="utf-8")
        return path

    def flags(self, work: Path) -> list[str]:
        pairs = (("data", self.data), ("sts", self.sts), ("teacher", self.teacher), ("work", work))
        return [part for name, path in pairs for part in (f"--{name}", str(path))]


def make(root: Path) -> Small:
    """Write teacher, corpora and pairs below `root`."""
    small = Small(root=root)
    _teacher(small.teacher)
    rng = random.Random(3)
    small.data.mkdir()
    for name, count, lengths in (("short", 150, (2, 5)), ("long", 300, (8, 14))):
        lines = [" ".join(rng.choices(WORDS, k=rng.randint(*lengths))) for _ in range(count)]
        with gzip.open(small.data / f"{name}.txt.gz", "wt", encoding="utf-8") as stream:
            stream.write("\n".join([*lines, lines[0], "12"]) + "\n")
    small.sts.mkdir()
    rows = []
    for _ in range(30):
        left, right = rng.choices(WORDS, k=4), rng.choices(WORDS, k=4)
        shared = rng.randint(0, 4)
        rows.append(f"{shared}\t{' '.join(left)}\t{' '.join(left[:shared] + right[shared:])}")
    (small.sts / "pairs.tsv").write_text("\n".join(["score\ta\tb", *rows]), encoding="utf-8")
    return small


def _teacher(folder: Path) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]"]
    tokens += [*LETTERS, *("##" + letter for letter in LETTERS), *WORDS, "##ing", "##er", "##☃☄"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(tokens[:5])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    torch.manual_seed(1)
    model = BertModel(  # type: ignore[no-untyped-call]
        BertConfig(  # type: ignore[no-untyped-call]
            vocab_size=len(tokens),
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.2,
        )
    )
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocabulary.json").write_text(json.dumps(tokens), encoding="utf-8")
