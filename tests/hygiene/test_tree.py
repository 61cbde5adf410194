"""The tree itself: sizes, words that must not be in it, licence, versions, permitted skips."""

import ast
import re
import tomllib
from pathlib import Path

import ondevice

ROOT = Path(__file__).resolve().parents[2]
TOP = {"pyproject.toml", "ondevice", "server_tools", "models", "tests", "README.md", "Makefile"}
TOP |= {"CHANGELOG.md", "LICENSE", "requirements", ".ci"}
MAX_LINES = 400
MAX_FILE = 200 << 10  # bytes, outside models/ and pictures
MAX_BINARIES = 60 << 20  # bytes of everything that is no text

# Built from parts, so that this file does not hold what it looks for.
MACHINE_PATH = re.compile("(?<![\\w.~-])/" + "(?:work|root|home/(?!you/|\\{)\\w+|Users/\\w+)/")
REGISTRY = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("files", "pythonhosted", "org"),
            ("test", "pypi", "org"),
            ("download", "pytorch", "org"),
            ("registry", "npmjs", "org"),
            ("conda", "anaconda", "org"),
            ("huggingface", "co/"),
        )
    )
)
SECRET = re.compile("-----BEGIN " + "[A-Z ]*PRIVATE KEY-----\\s+[A-Za-z0-9+/]{32}")


def text_of(path: Path) -> str | None:
    """The text of a file, or None where it is no UTF-8 text."""
    blob = path.read_bytes()
    if b"\0" in blob:
        return None
    try:
        return blob.decode("utf-8")
    except UnicodeDecodeError:
        return None


def test_the_files_were_found(tracked: list[Path]) -> None:
    names = {path.relative_to(ROOT).as_posix() for path in tracked}

    assert {"pyproject.toml", "LICENSE", "Makefile", "ondevice/errors.py"} <= names
    assert len(names) >= 150


def test_the_top_level_is_fixed(tracked: list[Path]) -> None:
    top = {path.relative_to(ROOT).parts[0] for path in tracked}

    assert top >= TOP
    assert {name for name in top if not name.startswith(".")} <= TOP


def test_no_module_outgrows_its_reader(tracked: list[Path]) -> None:
    lengths = {
        str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n")
        for path in tracked
        if path.suffix in {".py", ".tcss"}
    }

    assert len(lengths) >= 100
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_no_large_file_hides_in_the_tree(tracked: list[Path]) -> None:
    large = [
        str(path.relative_to(ROOT))
        for path in tracked
        if path.stat().st_size > MAX_FILE
        and path.relative_to(ROOT).parts[0] != "models"
        and path.suffix not in {".svg", ".png"}
    ]

    assert large == []
    assert not [path for path in tracked if path.suffix == ".ipynb"]


def test_binaries_stay_small(tracked: list[Path]) -> None:
    sizes = {path: path.stat().st_size for path in tracked if text_of(path) is None}

    assert sum(sizes.values()) <= MAX_BINARIES


def test_nothing_names_this_machine_a_registry_or_a_secret(tracked: list[Path]) -> None:
    found = []
    for path in tracked:
        text = text_of(path) or ""
        if SECRET.search(text):
            found.append(f"{path.relative_to(ROOT)}: a private key")
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE_PATH.search(line) or REGISTRY.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")

    assert found == []


def test_the_search_itself_works() -> None:
    assert MACHINE_PATH.search("open('/" + "root/x')")
    assert MACHINE_PATH.search("/" + "home/jane/x")
    assert not MACHINE_PATH.search("the /" + "home/you/folder, network/root/x, ~/work/x")
    assert REGISTRY.search("https://" + "pypi" + ".org/simple")
    assert SECRET.search("-----BEGIN " + "RSA PRIVATE KEY-----\n" + "MIIB" * 16)


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert project["license"] == "Apache-2.0"


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    released = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$",
        (ROOT / "CHANGELOG.md").read_text("utf-8"),
        re.M,
    )

    assert project["version"] == ondevice.__version__ == released[0]


def test_pins_cover_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]

    def name(requirement: str) -> str:
        return re.split(r"[\[<>=!~ ;]", requirement)[0].lower().replace("_", "-")

    for file, wanted in (
        ("client.txt", (*project["dependencies"], *extras["hub"], *extras["dev"])),
        ("server.txt", (*project["dependencies"], *extras["server"], *extras["dev"])),
    ):
        lines = (ROOT / "requirements" / file).read_text("utf-8").splitlines()
        pinned = {name(line) for line in lines if "==" in line}
        assert {name(requirement) for requirement in wanted} <= pinned, file


def test_every_permitted_skip_names_a_test_and_a_reason() -> None:
    table = tomllib.loads((ROOT / "tests" / "skips.toml").read_text("utf-8"))

    assert set(table) <= {"skip"}
    for entry in table.get("skip", []):
        assert set(entry) == {"test", "reason"}
        assert len(entry["reason"].split()) >= 4
        file, _, test = entry["test"].partition("::")
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        names = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        wanted = re.split(r"[\[:]", test)[0]
        assert not wanted or any(name.startswith(wanted) for name in names), entry["test"]
