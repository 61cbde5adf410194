"""Checks of one home: its files' rights, keys, store, ledger, words that must not be readable."""

import stat
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice import config as configuration
from ondevice.audit.findings import Finding
from ondevice.errors import ConfigError, OnDeviceError
from ondevice.paths import Home
from ondevice.privacy.randomness import SystemRandomness
from ondevice.store import Store, keybox, scan
from ondevice.store.forget import words_before
from ondevice.store.keys import Keys

if TYPE_CHECKING:
    from ondevice.config import Config
    from ondevice.privacy.stream import StreamParameters
    from ondevice.store.connection import Connection

PLAIN = b"SQLite format 3\0"
_LOOSE = 0o077
_EMPTY = "nothing was recorded here yet"
_SHORTEST = 12  # characters of a text that is looked for: a shorter one stands in many files
_INFORMED = "select text from behaviours where length(text) >= ? order by id desc limit ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found, and what further checks need."""

    findings: list[Finding]
    config: "Config | None"
    unlocked: bool  # whether keys could be read
    streams: "tuple[StreamParameters, ...]"


def examine(home: Home, *, now: datetime, protection: Callable[[], Sequence[str]]) -> Examined:
    """Run every check of `home`. A check that needs what failed before it is "n/a".

    Args:
        home: it is read; the only write is the store's own mark at closing.
        now: the time.
        protection: says in sentences what protects the keys.
    """
    findings: list[Finding] = []
    with ExitStack() as stack:
        config, found = _configuration(home)
        findings.append(found)
        findings.append(_modes(home))
        safe = findings[-1].status != "fail"
        empty = not home.keybox.exists() and not home.store.exists()
        why = "" if safe and not empty else _EMPTY if safe else "modes come first"
        findings.append(_not_now("keys", why) if why else _keys(home, protection))
        unlocked = findings[-1].status == "pass"
        why = why or ("" if unlocked else "keys come first")
        findings.append(_not_now("store", why) if why else _store(home))
        why = why or ("" if findings[-1].status == "pass" else "the store comes first")
        store, found = (None, _not_now("ledger", why)) if why else _ledger(home, stack)
        findings.append(found)
        findings.append(_rollback(empty=empty))
        why = why or ("" if store is not None else "the ledger comes first")
        findings.append(_retention(store, config, now, why))
        findings.append(_plaintext(home, store, why))
        streams = tuple(s.parameters for s in store.ledger.streams()) if store else ()
    return Examined(findings=findings, config=config, unlocked=unlocked, streams=streams)


def _configuration(home: Home) -> "tuple[Config | None, Finding]":
    name = home.config.name
    try:
        found = configuration.load(home.config)
    except ConfigError as error:
        said = str(error).replace(str(home.config), name)
        return None, Finding(id="configuration", status="fail", evidence=said, file=name)
    said = f"{name} is valid" if home.config.exists() else "defaults: there is no file"
    said += f"; epsilon {found.epsilon:g}, delta {found.delta:g}, per {found.unit}"
    return found, Finding(id="configuration", status="pass", evidence=said)


def _modes(home: Home) -> Finding:
    if not home.root.exists():
        return _not_now("modes", _EMPTY)
    paths = [home.root, *sorted(home.root.rglob("*"))]
    public = home.catalogues  # sealed files that anybody could fetch; their folder is the fence
    for path in paths:
        if public in path.parents:
            continue
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) & _LOOSE and _matters(path, home):
            name = path.relative_to(home.root).as_posix()
            return Finding(
                id="modes",
                status="fail",
                evidence=f"others may open it (mode {stat.S_IMODE(mode):04o})",
                file=name,
            )
    return Finding(
        id="modes",
        status="pass",
        evidence="the home is open to its owner alone, and so is every key and database in it",
    )


def _matters(path: Path, home: Home) -> bool:
    """Whether rights of its own count: what a person put here is fenced by the folder."""
    ours = (home.root, home.keybox, home.pepper, home.catalogues)
    return path in ours or path.suffix == ".key" or path.name.startswith(home.store.name)


def _keys(home: Home, protection: Callable[[], Sequence[str]]) -> Finding:
    try:
        keybox.read(home)
        said = "; ".join(protection())
    except OnDeviceError as error:
        return _fail("keys", error, home, home.keybox)
    return Finding(id="keys", status="pass", evidence=said)


def _store(home: Home) -> Finding:
    try:
        box = keybox.read(home)
        if home.store.exists() or box.counter:
            pages = sum(1 for _ in scan.pages(home.store, box.store_key))
        else:
            return _not_now("store", _EMPTY)
    except OnDeviceError as error:
        return _fail("store", error, home, home.store)
    return Finding(
        id="store",
        status="pass",
        evidence="every page decrypts and carries its own code (AES-256, HMAC-SHA512)",
        measured={"pages": pages},
    )


def _ledger(home: Home, stack: ExitStack) -> tuple[Store | None, Finding]:
    try:
        store = stack.enter_context(Store.open(home, create=False))
        entries = store.verify()
    except OnDeviceError as error:
        return None, _fail("ledger", error, home, home.store)
    return store, Finding(
        id="ledger",
        status="pass",
        evidence="its chain, codes, rows and the cap agree, and the store is not older than the "
        "keybox",
        measured={"entries": entries},
    )


def _rollback(*, empty: bool) -> Finding:
    if empty:
        return _not_now("rollback", _EMPTY)
    return Finding(
        id="rollback",
        status="warn",
        evidence="an older store beside this keybox is refused; an older copy of the whole home, "
        "keybox included, can't be told from the newest",
    )


def _retention(store: Store | None, config: "Config | None", now: datetime, why: str) -> Finding:
    if config is None or store is None:
        return _not_now("retention", why or "configuration comes first")
    days = config.keep_text_days
    if days is None:
        said = "words are kept until you forget them: keep_text_days is not set"
        return Finding(id="retention", status="pass", evidence=said)
    # The program forgets at a midnight, whenever it is used: a day of grace for one that was not.
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    before = midnight - timedelta(days=days)
    late = store.consult(lambda connection: words_before(connection, before))
    if late:
        said = f"words are still here that are older than keep_text_days = {days}"
        measured = {"behaviours": late}
        return Finding(id="retention", status="fail", evidence=said, measured=measured)
    said = f"no words are older than keep_text_days = {days}"
    return Finding(id="retention", status="pass", evidence=said)


def _plaintext(home: Home, store: Store | None, why: str) -> Finding:
    if store is None:
        return _not_now("plaintext", why)
    texts = store.consult(_texts)
    needles = scan.pieces(
        form for text in texts for form in (text.encode(), text.encode("utf-16-le"))
    )
    count, guilty = scan.found_in_files(home, (PLAIN, *needles))
    if guilty:
        return Finding(
            id="plaintext",
            status="fail",
            evidence="what was recorded, or a database, lies here without encryption",
            file=guilty[0].relative_to(home.root).as_posix(),
            measured={"files": count, "guilty": len(guilty), "texts": len(texts)},
        )
    return Finding(
        id="plaintext",
        status="pass",
        evidence="the newest things that were recorded are readable in no file of the home, in "
        "UTF-8 or UTF-16, and no database in the clear is there",
        measured={"files": count, "texts": len(texts)},
    )


def _texts(connection: "Connection") -> list[str]:
    return [row[0] for row in connection.rows(_INFORMED, _SHORTEST, scan.NEEDLES // 2)]


def _not_now(name: str, why: str) -> Finding:
    return Finding(id=name, status="n/a", evidence=why)


def _fail(name: str, error: OnDeviceError, home: Home, path: Path) -> Finding:
    said = str(error).replace(f"{home.root}/", "").replace(str(home.root), "the home")
    return Finding(id=name, status="fail", evidence=said, file=path.name)


def keys_of(home: Home) -> Keys:
    """The key ring of `home`, for the checks of its catalogues."""
    return Keys(home, SystemRandomness())
