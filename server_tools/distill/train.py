"""The loop: batch, loss, step; a checkpoint every so often; curves for TensorBoard."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ondevice.errors import NotReadyError
from server_tools.distill import checkpoint, schedule, sts, student
from server_tools.distill.checkpoint import Progress
from server_tools.distill.prepare import Prepared
from server_tools.distill.student import WORDS
from server_tools.distill.targets import Targets
from server_tools.distill.watch import Watch
from server_tools.recipe import Recipe, TrainingRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished run."""

    views: int
    spearman: float | None  # last measurement on the watched pairs
    cpu_seconds: float


def loss_of(
    ours: Any, theirs: Any, plan: TrainingRecipe, *, families: Any | None = None
) -> tuple[Any, Any]:
    """How far a batch is from the teacher.

    Mean 1 - cosine; plus `similarity` times the mean squared error of the cosines within the
    batch; plus `family` times the same within families; plus `ranking` times the divergence of
    the softmax of the cosines at `temperature`, which weighs each text's nearest ones.

    Args:
        ours: student unit vectors, (n, width).
        theirs: teacher unit vectors, (n, width).
        plan: the weights of the terms.
        families: a number for each text, (n,); texts of one number are a family.

    Returns:
        `(loss, mean cosine)`, scalars.
    """
    cosine = (ours * theirs).sum(1).mean()
    mine, told = ours @ ours.T, theirs @ theirs.T
    errors = (mine - told).square()
    loss = 1.0 - cosine + plan.similarity * errors.mean()
    if plan.family and families is not None:
        same = families[:, None] == families[None, :]
        same.fill_diagonal_(False)  # noqa: FBT003 - a tensor's method
        if same.any():
            loss = loss + plan.family * errors[same].mean()
    if plan.ranking:
        self_ = torch.eye(len(ours), dtype=torch.bool)
        mine, told = ((each / plan.temperature).masked_fill(self_, -1e4) for each in (mine, told))
        loss = loss + plan.ranking * torch.nn.functional.kl_div(
            mine.log_softmax(1), told.log_softmax(1), log_target=True, reduction="batchmean"
        )
    return loss, cosine


class Optimisers:
    """AdamW for the layers; for the words the same, or one that moves only words it has seen."""

    def __init__(self, model: Any, recipe: Recipe) -> None:
        self.words = model.get_parameter(WORDS)
        self.layers = [value for name, value in model.named_parameters() if name != WORDS]
        self._sparse = recipe.training.sparse_words
        self._all = [_optimiser(model, recipe)]
        if self._sparse:
            model.embeddings.word_embeddings.sparse = True
            self._all.append(torch.optim.SparseAdam([self.words], lr=recipe.training.rate))

    def set(self, rate: float, words: float, *, learn_words: bool) -> None:
        """Set both rates."""
        self.words.requires_grad_(learn_words)
        for index, group in enumerate(self._all[0].param_groups):
            group["lr"] = words if index == 2 else rate
        for each in self._all[1:]:
            each.param_groups[0]["lr"] = words

    def step(self, loss: Any, *, clip: float) -> None:
        """One step down `loss`."""
        for each in self._all:
            each.zero_grad(set_to_none=True)
        loss.backward()
        clipped = self.layers if self._sparse else [*self.layers, self.words]
        torch.nn.utils.clip_grad_norm_(clipped, clip)
        for each in self._all:
            each.step()

    def state_dict(self) -> Any:
        """The state of one optimiser, or of both by name."""
        states = [each.state_dict() for each in self._all]
        return {"layers": states[0], "words": states[1]} if self._sparse else states[0]

    def load_state_dict(self, state: Any) -> None:
        """Take a saved state back."""
        states = [state["layers"], state["words"]] if self._sparse else [state]
        for each, saved in zip(self._all, states, strict=True):
            each.load_state_dict(saved)


def _optimiser(model: Any, recipe: Recipe) -> Any:
    plan = recipe.training
    named = [pair for pair in model.named_parameters() if not plan.sparse_words or pair[0] != WORDS]
    words = [value for name, value in named if name == WORDS]
    rest = [value for name, value in named if name != WORDS]
    return torch.optim.AdamW(
        [
            {"params": [v for v in rest if v.ndim > 1], "weight_decay": plan.weight_decay},
            {"params": [v for v in rest if v.ndim <= 1], "weight_decay": 0.0},
            *([{"params": words, "weight_decay": 0.0}] if words else []),
        ],
        lr=plan.rate,
    )


class Run:
    """One distillation, from wherever its checkpoint stands to the end of the plan."""

    def __init__(
        self, recipe: Recipe, prepared: Prepared, *, model: Any, targets: Targets, work: Path
    ) -> None:
        self.recipe, self.prepared, self.work = recipe, prepared, work
        self.targets = targets
        self.model = model
        self.optimiser = Optimisers(self.model, recipe)
        self.progress = Progress()
        try:
            self.progress, state = checkpoint.load(work, recipe)
        except NotReadyError:
            pass
        else:
            self.model.load_state_dict(state["model"])
            if state["optimiser"] is not None:
                self.optimiser.load_state_dict(state["optimiser"])
        self.families = np.asarray(prepared.families, dtype=np.int64)
        self.domains = np.asarray(prepared.domains, dtype=np.int64)
        self.tokens = [each.ids for each in prepared.tokenizer.encode_batch(list(prepared.texts))]
        self.pad_id = prepared.tokenizer.token_to_id("[PAD]") or 0
        self._cpu_before = self.progress.cpu_seconds - time.process_time()

    def step(self, rows: Any) -> tuple[float, float, float]:
        """Learn from the texts at `rows`; returns loss, mean cosine and the rate."""
        plan, views = self.recipe.training, self.progress.position.views
        rate = schedule.rate(views, plan)
        self.optimiser.set(
            rate, rate * plan.embeddings_rate, learn_words=views >= plan.embeddings_after
        )
        theirs = torch.from_numpy(self.targets.rows(rows))
        theirs = torch.nn.functional.normalize(theirs, dim=-1)
        ours = student.embed(self.model, [self.tokens[row] for row in rows], pad_id=self.pad_id)
        loss, cosine = loss_of(ours, theirs, plan, families=torch.from_numpy(self.families[rows]))
        self.optimiser.step(loss, clip=plan.clip)
        return float(loss.detach()), float(cosine.detach()), rate

    def measure(self, pairs: sts.Pairs) -> float:
        """Spearman of the student on `pairs`."""
        self.model.eval()
        value = sts.spearman(
            pairs, lambda texts: student.embed_texts(self.model, self.prepared.tokenizer, texts)
        )
        self.model.train()
        return value

    def save(self, name: str = checkpoint.NAME) -> None:
        """Write a checkpoint of this moment; the best one carries no optimiser."""
        self.progress.cpu_seconds = self._cpu_before + time.process_time()
        checkpoint.save(
            self.work,
            self.recipe,
            self.progress,
            model=self.model,
            optimiser=self.optimiser if name == checkpoint.NAME else None,
            name=name,
        )

    def go(
        self, pairs: sts.Pairs | None, *, after_step: Callable[[int], None] | None = None
    ) -> Outcome:
        """Train to the end of the plan.

        Args:
            pairs: measured now and then, never learnt from.
            after_step: called with the number of views after each step.
        """
        measure, saved, before = self.recipe.measure, time.monotonic(), self.progress.position.views
        self.model.train()
        with Watch(self.work, before=before, total=self.recipe.training.views) as watch:
            for views, loss, cosine, rate in self._steps():
                watch.step(views, loss=loss, cosine=cosine, rate=rate)
                if pairs is not None and views // measure.every != before // measure.every:
                    self._measure(pairs, watch)
                    if self._stale():
                        break
                if time.monotonic() - saved >= measure.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
                if after_step is not None:
                    after_step(views)
                before = views
            if pairs is not None:
                self._measure(pairs, watch)
        self.save()
        return Outcome(
            views=self.progress.position.views,
            spearman=self.progress.measured[-1][1] if self.progress.measured else None,
            cpu_seconds=self.progress.cpu_seconds,
        )

    def _steps(self) -> Iterator[tuple[int, float, float, float]]:
        """Learn batch by batch; yields views, loss, mean cosine and rate after each."""
        plan, seed, texts = self.recipe.training, self.recipe.seed, len(self.prepared.texts)
        chunks = -(-texts // plan.chunk)
        while (position := self.progress.position).views < plan.views:
            rows = schedule.chunk_rows(
                position,
                texts=texts,
                size=plan.chunk,
                seed=seed,
                families=self.families if len(self.domains) else None,
            )
            lengths = [len(self.tokens[row]) for row in rows]
            todo = schedule.batches(
                rows,
                lengths,
                position,
                size=plan.batch,
                seed=seed,
                families=self.families[rows],
                domains=self.domains[rows] if len(self.domains) else None,
            )
            self.targets.rows(rows)  # the whole chunk at once: the teacher likes long batches
            for batch in todo[position.batch :]:
                loss, cosine, rate = self.step(batch)
                self.progress.position = schedule.after(
                    self.progress.position,
                    seen=len(batch),
                    batches_in_chunk=len(todo),
                    chunks=chunks,
                )
                views = self.progress.position.views
                yield views, loss, cosine, rate
                if views >= plan.views:
                    break

    def _measure(self, pairs: sts.Pairs, watch: Watch) -> None:
        views, value = self.progress.position.views, self.measure(pairs)
        best = max((each for _, each in self.progress.measured), default=-1.0)
        self.progress.measured.append((views, value))
        watch.measured(views, value, pairs.name)
        if self.recipe.measure.keep_best and value > best:
            self.save(checkpoint.BEST)

    def _stale(self) -> bool:
        """Whether nothing has got better for as long as the recipe has patience."""
        patience = self.recipe.measure.patience
        best = max(self.progress.measured, key=lambda each: each[1])[0]
        return bool(patience) and self.progress.position.views - best >= patience


def make(
    recipe: Recipe,
    prepared: Prepared,
    *,
    teacher: Any,
    teacher_tokenizer: Any,
    work: Path,
    model: Any | None = None,
) -> Run:
    """A run whose targets come from `teacher`, cached in `work`; `model` is its student."""
    torch.set_num_threads(recipe.training.threads)
    torch.manual_seed(recipe.seed)
    if model is None:
        model = student.cut(teacher, recipe.student, prepared.kept)
    targets = Targets(
        work,
        prepared.texts,
        width=teacher.config.hidden_size,
        chunk=recipe.training.chunk,
        teach=lambda texts: np.asarray(student.embed_texts(teacher, teacher_tokenizer, texts)),
    )
    return Run(recipe, prepared, model=model, targets=targets, work=work)
