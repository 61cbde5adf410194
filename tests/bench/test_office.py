"""The published office split: writes docs/office.md. Minutes; `make bench`."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.bench,
    pytest.mark.server,
    pytest.mark.skipif(find_spec("torch") is None, reason="needs the server tools"),
]

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "eval" / "amazon_office18"
PAGE = ROOT / "ondevice" / "docs" / "office.md"


@pytest.mark.skipif(not DATA.is_dir(), reason="the evaluation data is not here")
def test_office_table() -> None:
    from ondevice.encoder.session import Encoder
    from ondevice.paths import bundled
    from server_tools.evaluate import data, official, official_docs, vectors

    encoder, work = Encoder.load(bundled("encoder")), ROOT / ".work"
    dataset = data.load(DATA)
    report = official.run(
        dataset,
        DATA,
        titles=vectors.cached(encoder, [item.title for item in dataset.items], work),
        texts=vectors.cached(encoder, dataset.texts, work),
        seeds=int(os.environ.get("SEEDS", str(official.SEEDS))),
        teacher=lambda: vectors.cached(vectors.Teacher(), dataset.texts, work),
        with_baselines=True,
        say=print,
    )
    PAGE.write_text(official_docs.page(report), encoding="utf-8")
    print(official.table(report))
    found = {row.name: row.mean["ndcg@10"] for row in report.rows}
    assert found["ours_exact"] > max(found["zero_shot"], found["popularity"], found["tfidf"])
    assert found["ours_exact"] > found["ours"]
