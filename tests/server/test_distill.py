"""A whole distillation on a tiny teacher: learns, and goes on after a kill to the same weights."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from ondevice.errors import ConfigError, FormatError, NotReadyError
from server_tools import recipe as recipes
from server_tools.distill import checkpoint, student, train, vocabulary
from server_tools.distill.command import distill, work_folder
from server_tools.recipe import TrainingRecipe
from tests.server import small_teacher
from tests.server.small_teacher import Small


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_teacher.make(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def whole(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a run that nothing interrupted."""
    work = tmp_path_factory.mktemp("whole")
    run(small, small.recipe(), work)
    return work


def run(small: Small, recipe: Path, work: Path) -> dict[str, Any]:
    result = CliRunner().invoke(distill, [str(recipe), *small.flags(work)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def weights(work: Path) -> dict[str, torch.Tensor]:
    state = torch.load(work / checkpoint.NAME, weights_only=True)
    model: dict[str, torch.Tensor] = state["model"]
    return model


def same(first: Path, second: Path) -> bool:
    left, right = weights(first), weights(second)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_it_learns(small: Small, whole: Path, tmp_path: Path) -> None:
    recipe = recipes.read(small.recipe())
    progress, state = checkpoint.load(whole, recipe)

    assert 400 <= progress.position.views < 416
    assert progress.position.epoch >= 1
    assert progress.measured[-1][0] == progress.position.views
    assert progress.cpu_seconds > 0
    log = [json.loads(line) for line in (whole / "measured.jsonl").read_text().splitlines()]
    assert log[-1]["cosine"] > log[0]["cosine"]
    assert list((whole / "curves").glob("events.*"))
    assert state["model"][student.WORDS].shape == (75, 32)


def test_a_second_run_gives_the_same_weights(small: Small, whole: Path, tmp_path: Path) -> None:
    run(small, small.recipe(), tmp_path)

    assert same(whole, tmp_path)


class PowerCutError(Exception):
    """Stands for a power cut between two batches."""


@pytest.mark.parametrize("after", [16, 176, 320])
def test_a_run_stopped_at_any_batch_goes_on_to_the_same_weights(
    small: Small, whole: Path, tmp_path: Path, after: int
) -> None:
    def stop(views: int) -> None:
        if views >= after:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        started(small, tmp_path).go(None, after_step=stop)
    run(small, small.recipe(), tmp_path)

    assert same(whole, tmp_path)


def started(small: Small, work: Path) -> train.Run:
    from server_tools.distill import prepare, vocabulary

    recipe = recipes.read(small.recipe())
    return train.make(
        recipe,
        prepare.prepare(recipe, teacher=small.teacher, data=small.data, work=work),
        teacher=student.load_teacher(small.teacher),
        teacher_tokenizer=vocabulary.load(small.teacher, max_tokens=64),
        work=work,
    )


@pytest.fixture
def child(small: Small, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    program = "from server_tools.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "distill", str(small.recipe()), *small.flags(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield process
    process.kill()
    process.wait()


def test_a_process_killed_hard_goes_on_to_the_same_weights(
    small: Small, whole: Path, tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    deadline = time.monotonic() + 60
    while not (tmp_path / checkpoint.NAME).is_file() and child.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint within a minute"
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()

    run(small, small.recipe(), tmp_path)

    assert same(whole, tmp_path)


def test_a_longer_plan_may_be_chosen_before_the_rate_falls(small: Small, tmp_path: Path) -> None:
    def stop(views: int) -> None:
        if views >= 208:
            raise PowerCutError

    replanned, direct = tmp_path / "replanned", tmp_path / "direct"
    replanned.mkdir()
    direct.mkdir()
    with pytest.raises(PowerCutError):
        started(small, replanned).go(None, after_step=stop)
    longer = small.recipe("longer.toml", views=480, decay=160)
    run(small, longer, replanned)
    run(small, longer, direct)

    assert same(replanned, direct)


def test_another_plan_is_refused_once_the_rate_has_fallen(small: Small, whole: Path) -> None:
    longer = recipes.read(small.recipe("longer.toml", views=480))

    with pytest.raises(ConfigError, match="begun to fall"):
        checkpoint.load(whole, longer)


def test_another_recipe_is_refused(small: Small, whole: Path) -> None:
    other = recipes.read(small.recipe("other.toml", vocabulary=80))

    with pytest.raises(ConfigError, match="another recipe"):
        checkpoint.load(whole, other)


def test_a_damaged_checkpoint_is_a_format_error(small: Small, tmp_path: Path) -> None:
    recipe = recipes.read(small.recipe())
    with pytest.raises(NotReadyError):
        checkpoint.load(tmp_path, recipe)
    (tmp_path / checkpoint.NAME).write_bytes(b"torn")

    with pytest.raises(FormatError, match="damaged"):
        checkpoint.load(tmp_path, recipe)


def test_a_changed_corpus_is_noticed(small: Small, tmp_path: Path) -> None:
    own = small_teacher.make(tmp_path / "own")
    work = tmp_path / "work"
    work.mkdir()
    started(own, work)
    (own.data / "short.txt.gz").write_bytes((own.data / "long.txt.gz").read_bytes())

    with pytest.raises(ConfigError, match="texts/short"):
        started(own, work)


def test_the_loss_is_nil_for_a_perfect_student_and_counts_relations() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(8, 5), dim=1)
    turned = vectors.flip(1)

    plan = TrainingRecipe(views=1, decay=1, family=3.0, ranking=0.5)
    families = torch.tensor([0, 0, 0, 1, 1, 2, 3, 4])

    loss, cosine = train.loss_of(vectors, vectors, plan, families=families)
    assert float(loss) == pytest.approx(0.0, abs=1e-6)
    assert float(cosine) == pytest.approx(1.0, abs=1e-6)
    loss, cosine = train.loss_of(turned, vectors, plan, families=families)
    assert float(loss) == pytest.approx(1.0 - float(cosine), abs=1e-5)


def test_a_family_told_apart_wrongly_costs_more_than_strangers() -> None:
    theirs = torch.nn.functional.normalize(torch.randn(6, 5), dim=1)
    ours = theirs.clone()
    ours[0] = torch.nn.functional.normalize(ours[0] + 0.5 * ours[1], dim=0)
    plan = TrainingRecipe(views=1, decay=1, similarity=1.0, family=5.0)

    near, _ = train.loss_of(ours, theirs, plan, families=torch.tensor([0, 0, 1, 2, 3, 4]))
    far, _ = train.loss_of(ours, theirs, plan, families=torch.tensor([0, 1, 2, 3, 4, 5]))
    assert float(near) > float(far)


def test_the_best_weights_are_kept_and_patience_ends_a_run(small: Small, tmp_path: Path) -> None:
    recipe = small.recipe("patient.toml", measure="keep_best = true\npatience = 1")
    recipe.write_text(recipe.read_text().replace("every = 160", "every = 16"))
    run(small, recipe, tmp_path)

    progress, _ = checkpoint.load(tmp_path, recipes.read(recipe))
    values = [value for _, value in progress.measured]
    assert progress.position.views < 400
    kept, state = checkpoint.load(tmp_path, recipes.read(recipe), name=checkpoint.BEST)
    assert kept.measured[-1][1] == max(values)
    assert state["optimiser"] is None


def test_only_words_that_were_read_move_when_words_are_sparse(small: Small, tmp_path: Path) -> None:
    recipe = small.recipe("sparse.toml", training="sparse_words = true")
    recipe.write_text(recipe.read_text().replace("embeddings_after = 128", "embeddings_after = 0"))
    run(small, recipe, tmp_path)

    _, state = checkpoint.load(tmp_path, recipes.read(recipe))
    words = vocabulary.load(tmp_path, max_tokens=32)
    kept = json.loads((tmp_path / "kept.json").read_text())
    before = student.load_teacher(small.teacher).state_dict()[student.WORDS][kept]
    moved = (state["model"][student.WORDS] != before).any(1)
    assert moved[words.token_to_id("lamp")]
    assert not moved[words.token_to_id("[MASK]")]


def test_a_narrow_student_starts_from_a_finished_one(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = small.recipe("first.toml")
    first_work = work_folder(recipes.read(first), None)
    second = small.recipe(
        "second.toml", vocabulary=80, student='intermediate = 24\nstart = "first.toml"'
    )
    with pytest.raises(NotReadyError, match="no checkpoint"):
        run(small, second, tmp_path / "second")
    run(small, first, first_work)
    run(small, second, tmp_path / "second")

    _, state = checkpoint.load(tmp_path / "second", recipes.read(second))
    assert state["model"]["encoder.layer.1.output.dense.weight"].shape == (32, 24)
    assert state["model"][student.WORDS].shape == (80, 32)


def test_pruned_neurons_are_made_up_for(small: Small) -> None:
    bert = student.load_teacher(small.teacher)
    rows = torch.randint(6, 70, (40, 9)).tolist()

    with torch.no_grad():
        full = student.embed(bert, rows, pad_id=0)
        same, half = (
            student.embed(student.prune(bert, width, rows, pad_id=0), rows, pad_id=0)
            for width in (64, 32)
        )
    near, nearer = (full * half).sum(1).mean(), (full * same).sum(1).mean()
    assert nearer > 0.93
    assert nearer > near > 0.8
