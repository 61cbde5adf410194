"""The layers of the tree are contracts that a tool checks; here that it runs, and that it bites."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")
CONTRACTS = {
    "Dependencies flow down",
    "The client never needs the server or its frameworks",
    "Only the TUI knows Textual",
    "Doors to the network",
    "Server tools see arithmetic, not the device",
    "The shared view cannot see behaviours",
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_contracts_are_kept() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    named = {contract["name"] for contract in project["tool"]["importlinter"]["contracts"]}
    proc = lint(ROOT)

    assert named >= CONTRACTS
    assert proc.returncode == 0, proc.stdout
    assert f"{len(named)} kept, 0 broken" in proc.stdout


def test_every_package_is_in_a_layer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (layers,) = (
        contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    placed = {name.strip() for layer in layers for name in layer.replace(":", "|").split("|")}
    here = {
        f"ondevice.{path.stem}"
        for path in (ROOT / "ondevice").iterdir()
        if path.name != "__init__.py"
        and (path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").is_file()))
    }

    assert len(here) >= 15
    assert here == placed


def test_the_tool_bites(tmp_path: Path) -> None:
    package = tmp_path / "small"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "low.py").write_text("from small import high\n")
    (package / "high.py").write_text("")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["small"]\n'
        '[[tool.importlinter.contracts]]\nname = "down"\ntype = "layers"\n'
        'layers = ["small.high", "small.low"]\n'
    )

    proc = lint(tmp_path)

    assert proc.returncode != 0
    assert "down BROKEN" in proc.stdout
