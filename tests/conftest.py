"""What every test may ask for; and the rule that in CI nothing is skipped silently."""

import os
import tomllib
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
PERMITTED = ROOT / "tests" / "skips.toml"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets, which is never part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real data is not here: put it at ../shared/data beside the checkout")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test ever touches the home of the person who runs it."""
    monkeypatch.setenv("ONDEVICE_HOME", str(tmp_path_factory.mktemp("home") / "ondevice"))
    monkeypatch.setenv("NO_COLOR", "1")


def permitted_skips() -> dict[str, str]:
    """Test id (or its start) → the reason why it may be skipped in CI."""
    table = tomllib.loads(PERMITTED.read_text(encoding="utf-8"))
    return {entry["test"]: entry["reason"] for entry in table.get("skip", [])}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip that nobody permitted into a failure when CI runs."""
    report = yield
    in_ci = bool(os.environ.get("CI"))
    if report.skipped and in_ci and not hasattr(report, "wasxfail"):
        permitted = any(item.nodeid.startswith(test) for test in permitted_skips())
        if not permitted:
            report.outcome = "failed"
            report.longrepr = f"skipped in CI without a line in tests/skips.toml: {report.longrepr}"
    return report
