"""The auditor's script: it needs nothing of ours, and finds what is there and what is not."""

import ast
import subprocess
import sys
from pathlib import Path

import ondevice
from ondevice.paths import Home
from ondevice.store import keybox
from tests.killing import SECRET, filled, folder_of, forget

SCRIPT = Path(ondevice.__file__).parent / "docs" / "verify_store.py"


def run(home: Home, key: bytes, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), str(home.store), *words],
        input=key.hex() + "\n",
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_short_and_imports_nothing_of_ours() -> None:
    text = SCRIPT.read_text("utf-8")
    assert text.count("\n") < 80
    modules = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert modules - sys.stdlib_module_names == {"sqlcipher3"}


def test_it_reads_a_store_and_sees_what_a_forget_takes_away(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    filled(home)
    before = run(home, keybox.read(home).store_key, SECRET)
    assert before.returncode == 1
    assert f"FAIL behaviours: 60 rows: holds ['{SECRET}']" in before.stdout
    assert "ok   every page is authentic" in before.stdout

    forget(home)

    after = run(home, keybox.read(home).store_key, SECRET)
    assert after.returncode == 0, after.stdout + after.stderr
    assert "ok   behaviours: 30 rows: clean" in after.stdout


def test_it_refuses_another_key_and_a_flipped_byte(tmp_path: Path) -> None:
    home = folder_of(tmp_path)
    filled(home)
    key = keybox.read(home).store_key
    assert "FAIL the key opens it" in run(home, bytes(31) + b"\2").stdout
    blob = bytearray(home.store.read_bytes())
    blob[5 * 4096 + 100] ^= 1
    home.store.write_bytes(bytes(blob))
    done = run(home, key)
    assert done.returncode == 1, done.stdout
