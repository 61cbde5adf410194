"""Heads trained with DP-SGD on two sets: writes docs/private-head.md. Minutes; `make bench`."""

import math
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.bench,
    pytest.mark.server,
    pytest.mark.skipif(find_spec("opacus") is None, reason="needs the server tools"),
]

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "eval"
SETS = ("ml100k", "pyvideo_speakers")
PAGE = ROOT / "ondevice" / "docs" / "private-head.md"


@pytest.mark.skipif(not DATA.is_dir(), reason="the evaluation data is not here")
def test_private_heads() -> None:
    from ondevice.encoder.session import Encoder
    from ondevice.paths import bundled
    from server_tools.evaluate import data, vectors
    from server_tools.head import dp_table

    encoder, work = Encoder.load(bundled("encoder")), ROOT / ".work"
    entries = []
    for name in SETS:
        dataset = data.load(DATA / name)
        entries += dp_table.measure(
            dataset,
            vectors.cached(encoder, dataset.texts, work),
            encoder=encoder.digest,
            trainings=(math.inf, 8.0, 4.0, 2.0),
            streams=(math.inf, 4.0),
            seeds=int(os.environ.get("SEEDS", "3")),
            say=print,
        )
    PAGE.write_text(dp_table.page(entries), encoding="utf-8")
    assert {one.training for one in entries} == {math.inf, 8.0, 4.0, 2.0}
    assert all(one.mean > 0 for one in entries)
