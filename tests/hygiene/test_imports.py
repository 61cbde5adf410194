"""What loading the client loads: no framework of the server, and nothing that can phone home."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

SERVER_ONLY = (
    "torch transformers optimum sentence_transformers sklearn scipy opacus implicit tensorboard "
    "server_tools pandas"
)
# `tokenizers` installs these; the client loads none of them.
NEVER_NEEDED = "huggingface_hub hf_xet httpx httpx2 requests urllib3"

# Loads every module of `ondevice` that argv does not exclude; prints which names of argv were
# loaded or only asked for (an import that fails quietly is still an import).
PROBE = """
import importlib, json, pkgutil, sys
watched, skipped = set(sys.argv[1].split()), tuple(sys.argv[2].split())
asked = []
class Witness:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in watched:
            asked.append(name.partition(".")[0])
sys.meta_path.insert(0, Witness())
import ondevice
names = [m.name for m in pkgutil.walk_packages(ondevice.__path__, "ondevice.")
         if not m.name.startswith(skipped or ("-",))]
for name in names:
    importlib.import_module(name)
print(json.dumps({"modules": len(names), "asked": sorted(set(asked)),
                  "loaded": sorted(watched & {m.partition(".")[0] for m in sys.modules})}))
"""

Python = Callable[..., Any]


def test_the_whole_client_needs_nothing_of_the_server(python: Python) -> None:
    found = python(PROBE, f"{SERVER_ONLY} {NEVER_NEEDED}", "").document

    assert found["modules"] >= 60
    assert found["loaded"] == []
    assert found["asked"] == []


def test_everything_but_the_tui_does_without_textual(python: Python) -> None:
    found = python(PROBE, "textual rich", "ondevice.tui").document

    assert found["modules"] >= 50
    assert found["loaded"] == []
    assert found["asked"] == []


def test_the_probe_sees_the_tui(python: Python) -> None:
    found = python(PROBE, "textual rich", "").document

    assert "textual" in found["loaded"]


def test_the_probe_sees_an_import_that_fails_quietly(python: Python, tmp_path: Path) -> None:
    package = tmp_path / "ondevice"
    package.mkdir()
    (package / "__init__.py").write_text("try:\n    import torch\nexcept ImportError:\n    pass\n")

    found = python(PROBE, SERVER_ONLY, "", path=tmp_path).document

    assert found["asked"] == ["torch"]


def test_the_shared_view_is_computed_without_raw_state(python: Python) -> None:
    found = python(
        """
import json, sys
import ondevice.profile.shared_view
print(json.dumps(sorted(m for m in sys.modules if m.startswith("ondevice."))))
"""
    ).document

    raw = {"ondevice.profile.owner_view", "ondevice.profile.steps", "ondevice.ranking.overlay"}
    assert "ondevice.profile.shared_view" in found
    assert not raw & set(found)
    assert not [name for name in found if name.startswith(("ondevice.store", "ondevice.service"))]


def test_no_command_loads_what_starts_threads_before_its_lock(python: Python) -> None:
    found = python(
        """
import importlib, json, sys
from ondevice.cli.main import COMMANDS
import ondevice.service.lock, ondevice.sandbox.broker
for place, _ in COMMANDS.values():
    importlib.import_module(place.partition(":")[0])
print(json.dumps([len(COMMANDS), [n for n in ondevice.service.lock.TOO_EARLY if n in sys.modules]]))
"""
    ).document

    assert found[0] >= 15
    assert found[1] == []


def test_naming_the_package_loads_almost_nothing(python: Python) -> None:
    found = python(
        """
import json, sys
before = set(sys.modules)
import ondevice, ondevice.__main__, ondevice.cli.main
print(json.dumps(sorted({m.partition(".")[0] for m in set(sys.modules) - before})))
"""
    ).document

    heavy = {"numpy", "onnxruntime", "tokenizers", "cryptography", "apsw", "tuf", "phonenumbers"}
    assert "click" in found
    assert not (heavy | {"textual"}) & set(found)
