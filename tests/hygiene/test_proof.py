"""Every obligation of PROOF.md names tests that exist, and every citation an obligation."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROOF = ROOT / "ondevice" / "privacy" / "PROOF.md"
OBLIGATION = re.compile(r"^- \*\*\[(P\d+)\]\*\*", re.MULTILINE)
TEST = re.compile(r"^  Test: (tests/\S+\.py)::(\w+)$", re.MULTILINE)


def obligations(text: str) -> dict[str, list[tuple[str, str]]]:
    """Obligation → its tests, as (file, function)."""
    starts = list(OBLIGATION.finditer(text))
    ends = [m.start() for m in starts[1:]] + [len(text)]
    return {
        m.group(1): TEST.findall(text[m.start() : end]) for m, end in zip(starts, ends, strict=True)
    }


def undischarged(text: str) -> list[str]:
    """What is wrong with `text`, one line each."""
    found = obligations(text)
    problems = [f"[{name}] names no test" for name, tests in found.items() if not tests]
    for name, tests in found.items():
        for file, function in tests:
            path = ROOT / file
            tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else None
            if tree is None or function not in {
                node.name for node in tree.body if isinstance(node, ast.FunctionDef)
            }:
                problems.append(f"[{name}] names {file}::{function}, which is not there")
    return problems


def test_the_obligations_were_found() -> None:
    names = OBLIGATION.findall(PROOF.read_text(encoding="utf-8"))

    assert len(names) >= 11
    assert sorted(names, key=lambda name: int(name[1:])) == [
        f"P{n}" for n in range(1, len(names) + 1)
    ]


def test_every_obligation_is_discharged_by_a_test_that_exists() -> None:
    assert undischarged(PROOF.read_text(encoding="utf-8")) == []


def test_a_missing_test_would_be_noticed() -> None:
    here = "tests/hygiene/test_proof.py"
    text = (
        f"- **[P1]** a\n  Test: {here}::test_the_obligations_were_found\n"
        f"- **[P2]** b\n- **[P3]** c\n  Test: {here}::test_of_nothing\n"
        "- **[P4]** d\n  Test: tests/nowhere.py::test_x\n"
    )

    assert [problem[:4] for problem in undischarged(text)] == ["[P2]", "[P3]", "[P4]"]


def test_every_citation_in_the_code_is_an_obligation() -> None:
    known = set(obligations(PROOF.read_text(encoding="utf-8")))
    cited = {
        number
        for path in (ROOT / "ondevice").rglob("*.py")
        for number in re.findall(r"\[(P\d+)\]", path.read_text(encoding="utf-8"))
    }

    assert cited
    assert cited <= known
