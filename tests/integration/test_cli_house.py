"""The commands around it: catalogue, config, doctor, completion, demo; homes, pipes, colours."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ondevice import __version__
from ondevice.cli.main import COMMANDS
from tests.commands import here, process

SAMPLES = {"communities-and-talks", "films-and-books", "funds", "shop", "smart-home"}


def test_catalogue_list_and_verify(sample_home: Path) -> None:
    for command in ("list", "verify"):
        found = here("catalogue", command, "--json", home=sample_home).document["catalogues"]
        assert {one["id"] for one in found} == SAMPLES
        assert all(one["origin"] == "sample" and one["items"] > 100 for one in found)
    assert len(process("catalogue", "list", "--home", sample_home).stdout.splitlines()) == 5


@pytest.mark.parametrize(
    ("told", "code", "word"),
    [
        (("add", "/no/such.invite"), 2, "/no/such.invite"),
        (("add", "/"), 2, "folder"),
        (("add", "https://example.org/repo"), 2, "invite"),
        (("update", "shop"), 3, "samples never change"),
        (("remove", "shop"), 2, "sample"),
        (("remove", "nope"), 3, "nope"),
    ],
)
def test_catalogue_refuses(home: Path, told: tuple[str, ...], code: int, word: str) -> None:
    assert word in here("catalogue", *told, home=home).refused(code)


def test_nothing_to_update_is_said(home: Path) -> None:
    said = here("catalogue", "update", home=home)
    assert (said.code, said.out) == (0, "")
    assert "nothing to update" in said.err


def test_config_says_where_each_value_comes_from(home: Path) -> None:
    path = here("config", "path", "--json", home=home).document
    assert (path["path"], path["exists"]) == (str(home / "config.toml"), False)
    assert here("config", "path", home=home).out == f"{home / 'config.toml'}\n"
    (home / "config.toml").write_text("[weights]\nview = 0.1\n", encoding="utf-8")
    shown = here("config", "show", "--json", home=home).document
    assert shown["epsilon"] == {"value": 4.0, "from": "default"}
    assert shown["weights"]["value"]["view"] == 0.1
    assert shown["weights"]["value"]["purchase"] == 1.0
    assert shown["weights"]["from"] == str(home / "config.toml")
    assert "epsilon" in here("config", "show", home=home).out


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[[[", "TOML"),
        ("epsilom = 4", "epsilom"),
        ("epsilon = 400", "0.01 to 20"),
        ('unit = "week"', "unit"),
        ("[weights]\nguess = 1", "guess"),
        ("weights = 3", "weights"),
    ],
)
def test_damaged_configuration_stops_every_command(home: Path, text: str, word: str) -> None:
    (home / "config.toml").write_text(text, encoding="utf-8")
    for command in (("recommend",), ("log", "x"), ("budget",), ("config", "show")):
        assert word in here(*command, home=home).refused(2)
    doctor = here("doctor", "--json", home=home)
    assert doctor.code == 1
    checks = {one["id"]: one for one in json.loads(doctor.out)["checks"]}
    assert checks["configuration"]["status"] == "fail"
    assert word in checks["configuration"]["evidence"]
    assert checks["configuration"]["fix"]
    assert checks["store"]["status"] == "n/a"


def test_doctor_of_a_healthy_home(home: Path, tmp_path: Path) -> None:
    for where in (home, tmp_path / "new"):
        found = here("doctor", "--json", home=where).document["checks"]
        assert all(set(one) >= {"id", "status", "evidence"} for one in found)
        assert {one["status"] for one in found} <= {"pass", "n/a"}
    assert not (tmp_path / "new").exists()
    assert process("doctor", "--home", home).stdout.startswith(b"PASS")


def test_home_that_others_can_read_is_refused(home: Path) -> None:
    home.chmod(0o755)
    assert f"chmod 700 {home}" in here("history", home=home).refused(2)
    said = here("doctor", home=home)
    assert said.code == 1
    assert f"fix home: chmod 700 {home}" in said.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    found = here("completion", shell, "--json").document
    assert (found["shell"], "ondevice-rec" in found["script"]) == (shell, True)
    assert here("completion", shell).out.strip() == found["script"].strip()
    assert here("completion", "tcsh").code == 2


def test_demo_off_a_terminal_is_ten_lines_and_leaves_nothing(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    said = process("demo", environment={"TMPDIR": str(scratch)})
    assert said.returncode == 0
    lines = said.stdout.decode().splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, 11))
    assert all(" — " in line for line in lines)
    assert b"80 sample behaviours" in said.stderr
    assert list(scratch.iterdir()) == []


def test_demo_keeps_a_home_that_is_given_and_refuses_a_used_one(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    found = here("demo", "--json", home=kept).document
    assert set(found) == {"schema", "view", "catalogue", "items", "privacy"}
    assert len(found["items"]) == 10
    assert here("history", "--json", home=kept).document["total"] == 80
    assert "not empty" in here("demo", home=kept).refused(2)
    assert here("history", "--json", home=kept).document["total"] == 80


def test_throw_away_home_goes_also_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert "nope" in here("demo", "--catalogue", "nope").refused(3)
    assert list(tmp_path.iterdir()) == []


def test_home_by_flag_and_by_environment(sample_home: Path, tmp_path: Path) -> None:
    by_flag = process("history", "--json", "--home", sample_home)
    by_name = process("history", "--json", environment={"ONDEVICE_HOME": str(sample_home)})
    assert by_flag.stdout == by_name.stdout
    both = process(
        *("history", "--json", "--home", tmp_path / "new"),
        environment={"ONDEVICE_HOME": str(sample_home)},
    )
    assert json.loads(both.stdout)["total"] == 0


def test_no_escape_codes_off_a_terminal(sample_home: Path) -> None:
    for environment in ({"NO_COLOR": "1"}, {"NO_COLOR": "", "TERM": "xterm-256color"}):
        for command in (("recommend",), ("doctor",), ("nosuch",)):
            said = process(*command, environment={**environment, "ONDEVICE_HOME": str(sample_home)})
            assert b"\x1b" not in said.stdout + said.stderr


def test_usage() -> None:
    assert here("nosuch").code == 2
    assert "nosuch" in here("nosuch").err
    assert process("nosuch").returncode == 2
    assert here("recommend", "--nosuch").code == 2
    assert here("--version").out.strip().endswith(__version__)
    overview = here("--help")
    assert overview.code == 0
    assert all(f"\n  {name} " in overview.out for name in COMMANDS)
    for name in COMMANDS:
        told = here(name, "--help")
        assert (told.code, told.err) == (0, "")
        assert f"ondevice-rec {name}" in told.out


@pytest.mark.parametrize("command", ["history -n 100", "recommend --json -n 100", "--help"])
def test_reader_that_leaves_early_is_no_error(sample_home: Path, command: str) -> None:
    ask = f"{sys.executable} -m ondevice {command}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {ask} | true; echo ${{PIPESTATUS[0]}}"],
        env={"ONDEVICE_HOME": str(sample_home), "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (b"0\n", b"")
