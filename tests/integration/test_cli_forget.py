"""Forget, export, erase, passphrase and history, as people call them."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ondevice.domain import Behaviour, Kind
from ondevice.paths import Home
from ondevice.service import retention
from ondevice.service.behave import record
from ondevice.service.session import Session
from ondevice.store import Entry, Store, entries, keybox, scan, unlock
from ondevice.store.forget import KEPT
from tests.commands import here, process

CANARY = "a flock of zebrafinches at the window"


def texts(home: Path) -> list[str]:
    said = here("history", "-n", 10_000, "--json", home=home)
    return [one["text"] for one in said.document["behaviours"]]


def test_forgetting_one_prints_a_receipt_and_leaves_no_trace(home: Path) -> None:
    assert here("log", CANARY, "--kind", "like", home=home).code == 0
    number = here("history", "-n", 1, "--json", home=home).document["behaviours"][0]["id"]
    before = here("why", "film:stalker", "--json", home=home).document
    assert any("zebrafinches" in part["label"] for part in before["parts"]) or before["parts"]

    receipt = here("forget", "--id", number, "--json", home=home).document

    assert (receipt["behaviours"], receipt["released"], receipt["keys_changed"]) == (1, 1, True)
    assert 0.9 < receipt["weight"] <= 1
    assert receipt["searched_for"] >= 2
    assert any("can't be unlearned" in line for line in receipt["said"])
    assert CANARY not in texts(home)
    box = keybox.read(Home(home))
    needles = [CANARY.encode(), CANARY.encode("utf-16-le")]
    assert scan.found_in_pages(Home(home).store, box.store_key, needles)[1] == 0
    assert scan.found_in_files(home, needles)[1] == []
    # What is left of it can't be told from the noise, and is called so.
    after = here("why", "film:stalker", "--json", home=home).document
    labels = {part["label"] for part in after["parts"] if part["kind"] == "noise"}
    assert labels == {"noise and what you have forgotten"}
    assert sum(part["share"] for part in after["parts"]) == pytest.approx(after["score"], abs=1e-6)
    assert here("recommend", "--json", home=home).code == 0


def test_forgetting_by_day_source_time_and_everything(home: Path) -> None:
    said = here("history", "-n", 1000, "--json", home=home).document["behaviours"]
    day = said[10]["at"][:10]
    of_day = sum(one["at"].startswith(day) for one in said)
    preview = here("forget", "--day", day, "--dry-run", "--json", home=home).document
    assert preview["would_forget"]["behaviours"] == of_day >= 1
    assert len(texts(home)) == 80

    assert here("forget", "--day", day, "--json", home=home).document["behaviours"] == of_day
    before = said[60]["at"]
    older = sum(one["at"] < before for one in said)
    assert here("forget", "--before", before, "--json", home=home).document["behaviours"] == older
    here("log", CANARY, home=home)
    assert here("forget", "--source", "log", "--json", home=home).document["behaviours"] == 1
    nothing = here("forget", "--source", "nowhere", "--json", home=home).document
    assert (nothing["behaviours"], nothing["keys_changed"]) == (0, False)
    rest = 80 - of_day - older
    assert here("forget", "--all", "--json", home=home).document["behaviours"] == rest
    assert texts(home) == []
    assert here("budget", "--json", home=home).document["epsilon"] == 4.0  # paid is paid


@pytest.mark.parametrize(
    ("told", "code", "words"),
    [
        ((), 2, "say what to forget"),
        (("--all", "--id", 1), 2, "say what to forget"),
        (("--day", "yesterday"), 2, "not a day"),
        (("--before", "soon"), 2, "not a time"),
        (("--id", 4711), 3, "no behaviour 4711"),
    ],
)
def test_what_can_t_be_forgotten_is_said(
    home: Path, told: tuple[object, ...], code: int, words: str
) -> None:
    assert words in here("forget", *told, home=home).refused(code)


def test_forgetting_in_a_locked_process_of_its_own(home: Path) -> None:
    done = process("forget", "--source", "sample", "--json", "--home", home)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["behaviours"] == 80


def test_history_is_filtered_and_paged(home: Path) -> None:
    def page(*told: object) -> dict[str, object]:
        return here("history", "--json", *told, home=home).document

    first, second = page("-n", 30), page("-n", 30, "--page", 2)
    assert (first["total"], len(first["behaviours"])) == (80, 30)  # type: ignore[arg-type]
    ids = [one["id"] for shown in (first, second) for one in shown["behaviours"]]  # type: ignore[attr-defined]
    assert len(set(ids)) == 60
    assert page("-n", 30, "--page", 9)["behaviours"] == []
    likes = page("--kind", "like", "-n", 100)
    assert {one["kind"] for one in likes["behaviours"]} == {"like"}  # type: ignore[attr-defined]
    assert page("--text", "STALKER")["matching"] == 1
    assert page("--text", "100%_")["matching"] == 0
    assert page("--source", "log")["matching"] == 0
    assert here("history", "--kind", "adore", home=home).refused(2)
    assert "nothing recorded matches" in here("history", "--day", "1999-01-01", home=home).err


def test_an_export_is_taken_back_without_loss(home: Path, tmp_path: Path) -> None:
    there, again = tmp_path / "export", tmp_path / "again"
    for told in (
        ("feedback", "film:stalker", "like"),
        ("feedback", "film:solaris-1972", "hide"),
        ("feedback", "film:solaris-1972", "undo"),
        ("feedback", "film:arrival", "dwell", "--seconds", 40),
        ("interests", "pick", "gardening"),
    ):
        assert here(*told, home=home).code == 0
    with Session.open(home) as session:
        at = datetime(2025, 5, 5, 5, 5, 5, 123456, tzinfo=UTC)
        elsewhere = Behaviour(
            text="=cmd|' /C calc'!A0", kind=Kind.USE, at=at, item="i", catalogue="not-here"
        )
        session.store.record(Entry(behaviour=elsewhere))
    document = here("export", there, "--json", home=home).document
    assert document["counts"]["behaviours"] == len(texts(home))
    assert {path.stat().st_mode & 0o777 for path in there.iterdir()} == {0o600}

    other = tmp_path / "other"
    counts = here("import", "export", there, "--json", home=other).document
    assert (counts["kept"], counts["dropped"]) == (len(texts(home)), 0)
    assert here("export", again, home=other).code == 0

    def lines(folder: Path, part: str) -> list[dict[str, object]]:
        rows = (folder / f"{part}.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) | {"id": 0, "behaviour": 0, "undoes": 0} for line in rows]

    for part in ("behaviours", "feedback", "wishes"):
        assert lines(again, part) == lines(there, part)
    assert texts(other) == texts(home)
    lists = [here("feedback", "--list", home=one).out for one in (home, other)]
    assert lists[0] == lists[1]
    twice = here("import", "export", there, "--json", home=other).document
    assert (twice["kept"], twice["duplicates"]) == (0, counts["kept"])
    # A spreadsheet computes nothing of it.
    with (there / "behaviours.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert "'=cmd|' /C calc'!A0" in cells
    assert not [cell for cell in cells if cell[:1] in set("=+-@\t\r")]


def test_an_export_that_was_changed_is_refused(home: Path, tmp_path: Path) -> None:
    there = tmp_path / "export"
    assert here("export", there, home=home).code == 0
    assert "not empty" in here("export", there, home=home).refused(2)
    path = there / "behaviours.jsonl"
    path.write_text(path.read_text("utf-8").replace("Stalker", "Stoker"), "utf-8")
    other = tmp_path / "other"
    assert "not as it was exported" in here("import", "export", there, home=other).refused(2)
    (there / "export.json").write_text("{}")
    assert here("import", "export", there, home=other).refused(2)
    assert here("import", "export", tmp_path / "nowhere", home=other).refused(2)
    assert texts(other) == []


def test_a_shared_export_holds_nothing_of_the_history(home: Path, tmp_path: Path) -> None:
    here("log", CANARY, home=home)
    there = tmp_path / "shared"
    assert here("export", there, "--shared", home=home).code == 0
    names = {path.name for path in there.iterdir()}
    assert names == {"README.md", "shared.json", "shared.csv"}
    document = json.loads((there / "shared.json").read_text("utf-8"))
    assert document["privacy"]["epsilon"] == 4.0
    assert all(len(items) >= 10 for items in document["lists"].values())
    assert scan.found_in_files(there, [CANARY.encode()])[1] == []


def test_erase_needs_the_words_and_leaves_one_total(home: Path) -> None:
    assert "nothing was erased" in here("erase", home=home, given=b"yes\n").refused(2)
    assert len(texts(home)) == 80
    key = keybox.read(Home(home)).ledger_key

    done = here("erase", "--json", home=home, given=b"erase everything\n")

    assert done.document["behaviours"] == 80
    assert done.document["epsilon"] == pytest.approx(4.0, abs=1e-6)
    assert texts(home) == []
    total = entries.open_total(key, (home / "ledger.total").read_bytes())
    assert total.rho == pytest.approx(keybox.read(Home(home)).erased)
    assert b"202" not in (home / "ledger.total").read_bytes()  # no times
    assert here("log", "a new beginning", home=home).code == 0
    # The total of a second erase holds both.
    assert here("erase", "--confirm", "erase everything", home=home).code == 0
    assert keybox.read(Home(home)).erased == pytest.approx(2 * total.rho)


def test_words_older_than_a_person_wants_are_forgotten_by_themselves(home: Path) -> None:
    (home / "config.toml").write_text("keep_text_days = 30\n")
    with Session.open(home) as session:
        limit = retention.limit(session)
        assert limit is not None
        assert limit.hour == 0
        kept = [one for one in session.store.history.each() if one.at >= limit]
        gone = [one for one in session.store.history.each() if one.at < limit]
        assert len(kept) + len(gone) == 80
        assert {one.text for one in gone} == {KEPT}
        assert KEPT not in {one.text for one in kept}
        assert retention.due(session) == 0
        later = limit + timedelta(days=30 + 400)
        assert retention.due(session, later) == len(kept) > 0
    assert here("recommend", "--json", home=home).code == 0
    assert here("why", "film:stalker", home=home).code == 0
    (home / "config.toml").write_text("keep_text_days = 0\n")
    assert "keep_text_days" in here("history", home=home).refused(2)


def test_the_key_is_shown_for_typed_words_alone(home: Path) -> None:
    assert here("device", "key", home=home).code == 2
    refused = here("device", "key", "--show", home=home, given=b"y\n")
    refused.refused(2)
    shown = here("device", "key", "--show", home=home, given=b"show the key\n")
    key = bytes.fromhex(shown.out.strip())
    assert key not in {b""}
    assert next(scan.pages(Home(home).store, key))


def test_a_passphrase_through_the_commands(home: Path, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.touch(mode=0o600)
    words.write_text("four or five words\n")
    told = here("passphrase", "set", "--file", words, "--json", home=home).document
    assert told["level"] == "passphrase"
    unlock._stretched.clear()

    without = process("history", "--home", home)
    assert without.returncode == 2
    assert b"ONDEVICE_PASSPHRASE_FILE" in without.stderr
    wrong = process("history", "--home", home, environment={"ONDEVICE_PASSPHRASE": "other words"})
    assert wrong.returncode == 5
    given = {"ONDEVICE_PASSPHRASE_FILE": str(words)}
    assert process("history", "--home", home, environment=given).returncode == 0
    other = process(
        *("passphrase", "set", "--file", "-", "--home", home),
        environment=given,
        given=b"other words than those\n",
    )
    assert other.returncode == 0, other.stderr.decode()
    assert process("history", "--home", home, environment=given).returncode == 5
    environment = {"ONDEVICE_PASSPHRASE": "other words than those"}
    removed = process("passphrase", "remove", "--home", home, environment=environment)
    assert removed.returncode == 0
    assert process("history", "--home", home).returncode == 0

    words.chmod(0o644)
    assert "others may read" in here("passphrase", "set", "--file", words, home=home).refused(2)
    assert here("passphrase", "remove", home=home).refused(3)


def test_many_things_are_forgotten_while_the_profile_goes_on(home: Path) -> None:
    with Session.open(home) as session:
        now = datetime.now(UTC).replace(microsecond=0)
        record(
            session,
            [
                Behaviour(text=f"walk number {n}", kind=Kind.USE, at=now, source="walks")
                for n in range(70)
            ],
        )
    assert here("forget", "--source", "walks", "--json", home=home).document["behaviours"] == 70
    with Store.open(Home(home)) as store:
        store.verify()
    assert here("log", "another thing", home=home).code == 0
    assert len(texts(home)) == 81
