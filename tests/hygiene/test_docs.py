"""Documentation that cannot drift: every command explained, every link and target there."""

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from ondevice import __version__
from ondevice.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TARGETS = "setup run test test-slow bench lint format demo-bundle check screenshots clean".split()  # noqa: SIM905


def readme() -> str:
    return (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_it_does_and_shows_it(command: str) -> None:
    result = CliRunner().invoke(cli, [command, "--help"])

    assert result.exit_code == 0
    assert result.output.startswith("Usage:")
    assert "Example" in result.output
    assert f"ondevice-rec {command}" in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_the_command(command: str) -> None:
    assert re.search(rf"ondevice-rec {command}\b|`{command}\b", readme())


def test_commands_are_described_in_one_line() -> None:
    for text in (short for _, short in COMMANDS.values()):
        assert text.endswith(".")
        assert len(text) <= 60


def test_the_version_is_the_package_s() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output.split()[-1] == __version__


def test_links_lead_somewhere(tracked: list[Path]) -> None:
    broken = []
    for page in (path for path in tracked if path.suffix == ".md"):
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        for target in LINK.findall(text):
            path = target.partition("#")[0]
            if "://" not in target and path and not (page.parent / path).exists():
                broken.append(f"{page.relative_to(ROOT)} → {target}")

    assert broken == []


def test_claims_link_to_the_tests_that_execute_them() -> None:
    linked = [target for target in LINK.findall(readme()) if target.startswith("tests/")]

    assert len(linked) >= 5


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_the_target(target: str) -> None:
    proc = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert proc.returncode == 0, proc.stderr
    assert proc.stdout.strip()
