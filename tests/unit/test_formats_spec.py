"""Every clause that code or tests cite exists in SPEC.md."""

import re
from pathlib import Path

import ondevice.formats

FOLDER = Path(ondevice.formats.__file__).parent
TESTS = Path(__file__).resolve().parent.parent


def clauses() -> set[str]:
    """Return "3" for each section and "3.2" for each numbered rule in it."""
    found: set[str] = set()
    section = ""
    for line in (FOLDER / "SPEC.md").read_text(encoding="utf-8").splitlines():
        if head := re.match(r"## (\d+)\. ", line):
            section = head[1]
            found.add(section)
        elif rule := re.match(r"(\d+)\. ", line):
            found.add(f"{section}.{rule[1]}")
    return found


def test_cited_clauses_exist() -> None:
    files = [*FOLDER.glob("*.py"), *TESTS.glob("*/test_formats*.py")]
    cited = {
        clause
        for path in files
        for sentence in re.findall(r"SPEC (\d[\d., to]*)", path.read_text(encoding="utf-8"))
        for clause in re.findall(r"\d+(?:\.\d+)?", sentence)
    }
    assert len(cited) > 20
    assert cited <= clauses()


def test_every_module_has_a_section() -> None:
    text = (FOLDER / "SPEC.md").read_text(encoding="utf-8")
    for path in FOLDER.glob("*.py"):
        assert path.stem == "__init__" or f"`{path.name}`" in text
