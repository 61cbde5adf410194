"""Quality of trained heads on every set that is here: writes docs/quality.md and quality.svg.

SETS=ml100k,lastfm_hetrec measures some of them.
"""

import math
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.bench,
    pytest.mark.server,
    pytest.mark.skipif(find_spec("torch") is None, reason="needs the server tools"),
]

DOCS = Path(__file__).resolve().parents[2] / "ondevice" / "docs"
EPSILONS = (math.inf, 8.0, 4.0, 2.0, 1.0, 0.5)
HEAD = """# Quality of recommendations

Written by `make bench`; NDCG@10, owner view, `users` protocol, seed 0. The head learned from the
publisher's users of each set alone. `ours` at no privacy is exact mode: raw history, and words;
`ours_stream` is what the same head makes of the sum without noise. `fresh_noise` and
`single_release` cost the same and are decoded by the same network. `ours_shared` may list what
was seen; `ours_cold` knows items by their texts alone; `ours_text` knows what people did by its
text alone.

![NDCG@10 against epsilon](quality.svg)

"""


def test_quality_by_epsilon(shared_data: Path) -> None:
    from ondevice.encoder.session import Encoder
    from ondevice.paths import bundled
    from server_tools.evaluate import command, data, document, protocols, vectors

    encoder, work = Encoder.load(bundled("encoder")), Path(".work")
    reports = []
    wanted = os.environ.get("SETS", "").split(",")
    for folder in sorted((shared_data / "eval").iterdir()):
        if not (folder / "interactions.csv").is_file() or (
            wanted != [""] and folder.name not in wanted
        ):
            continue
        dataset = data.load(folder)
        found = vectors.cached(encoder, dataset.texts, work)
        head = command.trained(
            dataset, found, encoder=encoder.digest, seed=0, work=work, say=lambda _: None
        )
        reports.append(
            protocols.run(
                dataset,
                protocol="users",
                space=head.space,
                vectors=found,
                epsilons=EPSILONS,
                head=head,
                with_baselines=True,
            )
        )
        print(document.table(reports[-1:]))
    (DOCS / "quality.md").write_text(HEAD + document.table(reports), encoding="utf-8")
    (DOCS / "quality.svg").write_text(document.plot(reports), encoding="utf-8")
    assert reports
