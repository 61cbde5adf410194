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
from server_tools.distill.targets import Targets
from server_tools.distill.watch import Watch
from server_tools.recipe import Recipe

WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished run."""

    views: int
    spearman: float | None  # last measurement on the watched pairs
    cpu_seconds: float


def loss_of(ours: Any, theirs: Any, *, similarity: float) -> tuple[Any, Any]:
    """Mean 1 - cosine, plus `similarity` times the squared error of the cosines within the batch.

    Args:
        ours: student unit vectors, (n, width).
        theirs: teacher unit vectors, (n, width).
        similarity: weight of the second term.

    Returns:
        `(loss, mean cosine)`, scalars.
    """
    cosine = (ours * theirs).sum(1).mean()
    relations = (ours @ ours.T - theirs @ theirs.T).square().mean()
    return 1.0 - cosine + similarity * relations, cosine


def _optimiser(model: Any, recipe: Recipe) -> Any:
    words = [value for name, value in model.named_parameters() if name == WORDS]
    rest = [value for name, value in model.named_parameters() if name != WORDS]
    plan = recipe.training
    return torch.optim.AdamW(
        [
            {"params": [v for v in rest if v.ndim > 1], "weight_decay": plan.weight_decay},
            {"params": [v for v in rest if v.ndim <= 1], "weight_decay": 0.0},
            {"params": words, "weight_decay": 0.0},
        ],
        lr=plan.rate,
    )


class Run:
    """One distillation, from wherever its checkpoint stands to the end of the plan."""

    def __init__(
        self, recipe: Recipe, prepared: Prepared, *, teacher: Any, targets: Targets, work: Path
    ) -> None:
        self.recipe, self.prepared, self.work = recipe, prepared, work
        self.targets = targets
        self.model = student.cut(teacher, recipe.student, prepared.kept)
        self.optimiser = _optimiser(self.model, recipe)
        self.progress = Progress()
        try:
            self.progress, state = checkpoint.load(work, recipe)
        except NotReadyError:
            pass
        else:
            self.model.load_state_dict(state["model"])
            if state["optimiser"] is not None:
                self.optimiser.load_state_dict(state["optimiser"])
        self.tokens = [each.ids for each in prepared.tokenizer.encode_batch(list(prepared.texts))]
        self.pad_id = prepared.tokenizer.token_to_id("[PAD]") or 0
        self._cpu_before = self.progress.cpu_seconds - time.process_time()

    def step(self, rows: Any) -> tuple[float, float, float]:
        """Learn from the texts at `rows`; returns loss, mean cosine and the rate."""
        plan, views = self.recipe.training, self.progress.position.views
        rate = schedule.rate(views, plan)
        for index, group in enumerate(self.optimiser.param_groups):
            group["lr"] = rate * (plan.embeddings_rate if index == 2 else 1.0)
        self.model.get_parameter(WORDS).requires_grad_(views >= plan.embeddings_after)
        theirs = torch.from_numpy(self.targets.rows(rows))
        theirs = torch.nn.functional.normalize(theirs, dim=-1)
        ours = student.embed(self.model, [self.tokens[row] for row in rows], pad_id=self.pad_id)
        loss, cosine = loss_of(ours, theirs, similarity=plan.similarity)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), plan.clip)
        self.optimiser.step()
        return float(loss.detach()), float(cosine.detach()), rate

    def measure(self, pairs: sts.Pairs) -> float:
        """Spearman of the student on `pairs`."""
        self.model.eval()
        value = sts.spearman(
            pairs, lambda texts: student.embed_texts(self.model, self.prepared.tokenizer, texts)
        )
        self.model.train()
        return value

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        self.progress.cpu_seconds = self._cpu_before + time.process_time()
        checkpoint.save(
            self.work, self.recipe, self.progress, model=self.model, optimiser=self.optimiser
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
            rows = schedule.chunk_rows(position, texts=texts, size=plan.chunk, seed=seed)
            lengths = [len(self.tokens[row]) for row in rows]
            todo = schedule.batches(rows, lengths, position, size=plan.batch, seed=seed)
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
        self.progress.measured.append((views, value))
        watch.measured(views, value, pairs.name)


def make(
    recipe: Recipe, prepared: Prepared, *, teacher: Any, teacher_tokenizer: Any, work: Path
) -> Run:
    """A run whose targets come from `teacher`, cached in `work`."""
    torch.set_num_threads(recipe.training.threads)
    torch.manual_seed(recipe.seed)
    targets = Targets(
        work,
        prepared.texts,
        width=teacher.config.hidden_size,
        chunk=recipe.training.chunk,
        teach=lambda texts: np.asarray(student.embed_texts(teacher, teacher_tokenizer, texts)),
    )
    return Run(recipe, prepared, teacher=teacher, targets=targets, work=work)
