"""Anchor and passphrase: where they come from, what they change, and what is refused."""

import shutil
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ondevice.errors import ConfigError, FormatError, IntegrityError, NotReadyError
from ondevice.paths import Home
from ondevice.privacy.randomness import SystemRandomness
from ondevice.service import passphrase
from ondevice.service.session import Session
from ondevice.store import Store, files, keybox, seal, unlock
from ondevice.store.seal import Kdf, Seal

RANDOM = SystemRandomness()
WORDS = "four or five words"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing from outside, and nothing remembered by this process."""
    for name in ("CREDENTIALS_DIRECTORY", unlock.FILE, unlock.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdin", None)
    unlock._anchors.clear()
    unlock._stretched.clear()
    yield
    unlock._anchors.clear()
    unlock._stretched.clear()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    Store.open(home).close()
    return home


def protect(home: Home, words: str) -> None:
    with Session.open(home.root) as session:
        passphrase.set_passphrase(session, words)


def reopened(home: Home) -> int:
    """Open as another process would: nothing is remembered."""
    unlock._stretched.clear()
    with Store.open(home) as store:
        return store.behaviours.count()


def secret_file(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, "utf-8")
    return path


def test_a_passphrase_is_needed_from_then_on(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keybox.read(home)
    protect(home, WORDS)

    with pytest.raises(ConfigError, match="passphrase protects") as caught:
        reopened(home)
    assert unlock.FILE in caught.value.hint
    monkeypatch.setenv(unlock.VARIABLE, "something else")
    with pytest.raises(FormatError, match="passphrase is wrong"):
        reopened(home)
    monkeypatch.setenv(unlock.VARIABLE, WORDS)
    assert reopened(home) == 0
    # The store's key is another one: whoever had a copy of the old keybox has nothing.
    assert keybox.read(home).store_key != before.store_key


def test_it_is_found_in_a_file_or_a_credential(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect(home, WORDS)
    path = secret_file(tmp_path / "words", f"{WORDS}\nanother line\n")
    monkeypatch.setenv(unlock.FILE, str(path))
    assert reopened(home) == 0

    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read") as caught:
        reopened(home)
    assert "chmod 600" in caught.value.hint

    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    (tmp_path / "credentials").mkdir()
    secret_file(tmp_path / "credentials" / "ondevice-rec.passphrase", WORDS)
    assert reopened(home) == 0


def test_a_person_may_mistype_twice(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    protect(home, WORDS)
    answers = ["wrong", "wrong again", WORDS]
    monkeypatch.setattr(unlock, "_asker", [lambda _: answers.pop(0)])
    assert reopened(home) == 0
    monkeypatch.setattr(unlock, "_asker", [lambda _: "wrong"])
    with pytest.raises(FormatError, match="passphrase is wrong"):
        reopened(home)


def test_it_is_stretched_once_in_a_process(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    protect(home, WORDS)
    monkeypatch.setenv(unlock.VARIABLE, WORDS)
    calls = []
    real = Kdf.stretch

    def counted(kdf: Kdf, words: str) -> bytes:
        calls.append(words)
        return real(kdf, words)

    monkeypatch.setattr(Kdf, "stretch", counted)
    unlock._stretched.clear()
    with Store.open(home) as store:
        store.keys.put("group/x", b"k" * 32)
        assert store.keys.get("group/x") == b"k" * 32
    assert len(calls) == 1


def test_it_is_changed_and_removed(home: Home) -> None:
    with Session.open(home.root) as session:
        with pytest.raises(NotReadyError):
            passphrase.remove_passphrase(session)
        with pytest.raises(ConfigError, match="at least 8"):
            passphrase.set_passphrase(session, "short")
        assert passphrase.set_passphrase(session, WORDS).level == "passphrase"
        first = keybox.header(home)
        assert passphrase.set_passphrase(session, "other words than before").passphrase
        assert keybox.header(home).kdf != first.kdf
        assert passphrase.remove_passphrase(session).level == "key file"
    assert reopened(home) == 0


def test_letters_may_be_composed_in_two_ways() -> None:
    kdf = Kdf(salt=bytes(16), memory=8 << 10, passes=1)
    assert kdf.stretch("caf\u00e9 au lait") == kdf.stretch("cafe\u0301 au lait")


def test_a_header_that_costs_too_much_is_refused_before_it_costs_anything() -> None:
    under = Seal(pepper=bytes(32), kdf=Kdf(salt=bytes(16), memory=1 << 30), stretched=bytes(32))
    with pytest.raises(FormatError, match="costs too much"):
        seal.parse(under.header(bytes(32)))


def test_every_byte_of_a_header_matters_or_is_refused() -> None:
    under = Seal(pepper=bytes(32), anchor=bytes(32), kdf=Kdf(salt=bytes(16)), stretched=bytes(32))
    box = keybox.Keybox(store_key=b"s" * 32, ledger_key=b"l" * 32, device_private=b"d" * 32)
    blob = keybox.encode(box, under=under, randomness=RANDOM)
    assert keybox.decode(blob, under=under) == box
    for at in range(len(blob)):
        for bit in (1, 128):
            damaged = bytearray(blob)
            damaged[at] ^= bit
            with pytest.raises(FormatError):
                keybox.decode(bytes(damaged), under=under)
    for other in (replace(under, anchor=b"x" * 32), replace(under, stretched=b"x" * 32)):
        with pytest.raises(FormatError):
            keybox.decode(blob, under=other)


def test_a_credential_binds_a_new_home_to_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "ondevice-rec.anchor").write_bytes(b"r" * 32)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    home = Home(tmp_path / "home")
    Store.open(home).close()
    told = passphrase.protection(home)
    assert (told.level, told.anchor) == ("anchor", "systemd credential")

    copied = Home(Path(shutil.copytree(home.root, tmp_path / "elsewhere")))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    unlock._anchors.clear()
    assert passphrase.protection(copied).anchor == "missing here"
    with pytest.raises(ConfigError, match="bound to a key of this machine"):
        reopened(copied)

    (folder / "ondevice-rec.anchor").write_bytes(b"another secret of a machine")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    unlock._anchors.clear()
    with pytest.raises(IntegrityError):
        reopened(copied)
    (folder / "ondevice-rec.anchor").write_bytes(b"short")
    unlock._anchors.clear()
    with pytest.raises(ConfigError, match="too short"):
        reopened(copied)


def keyring_module(module: str, kept: dict[tuple[str, str], str]) -> types.ModuleType:
    """What the package `keyring` offers us, with a backend of `module`."""

    class Backend:
        def get_password(self, service: str, name: str) -> str | None:
            return kept.get((service, name))

        def set_password(self, service: str, name: str, secret: str) -> None:
            kept[service, name] = secret

    Backend.__module__ = module
    found = types.ModuleType("keyring")
    found.get_keyring = Backend  # type: ignore[attr-defined]
    return found


def test_a_real_keyring_is_an_anchor_and_a_failing_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[tuple[str, str], str] = {}
    monkeypatch.setitem(
        sys.modules, "keyring", keyring_module("keyring.backends.SecretService", kept)
    )
    home = Home(tmp_path / "home")
    Store.open(home).close()
    assert passphrase.protection(home).anchor == "operating system keyring"
    assert len(kept) == 1
    unlock._anchors.clear()
    assert reopened(home) == 0
    with Session.open(home.root) as session:  # it never rotates
        passphrase.set_passphrase(session, WORDS)
    assert passphrase.protection(home).level == "passphrase and anchor"
    assert len(kept) == 1

    for module in ("keyring.backends.fail", "keyrings.alt.file"):
        unlock._anchors.clear()
        monkeypatch.setitem(sys.modules, "keyring", keyring_module(module, kept))
        other = Home(tmp_path / module)
        Store.open(other).close()
        assert passphrase.protection(other).level == "key file"


def test_protection_is_said_in_words_without_any_key(home: Home, tmp_path: Path) -> None:
    assert passphrase.protection(Home(tmp_path / "nothing")).level == "none"
    told = passphrase.protection(home)
    assert told.level == "key file"
    assert "not a stolen disk" in told.sentences[0]
    protect(home, WORDS)
    unlock._stretched.clear()
    home.pepper.unlink()
    told = passphrase.protection(home)
    assert told.as_dict()["level"] == "passphrase"
    assert "overwriting is not erasure" in told.sentences[-1]


def test_a_new_pepper_survives_a_kill_between_any_two_writes(home: Home) -> None:
    box = keybox.read(home)
    first = home.pepper.read_bytes()
    old = home.keybox.read_bytes()

    keybox.reseal(home, box, RANDOM)
    second = home.pepper.read_bytes()
    assert first != second
    assert keybox.read(home) == box

    # Killed when only the new pepper was written: the old keybox counts, the new pepper goes.
    files.replace(files.next_pepper(home), b"n" * 32)
    keybox.settle(home)
    assert not files.next_pepper(home).exists()
    assert keybox.read(home) == box
    # Killed when the keybox was replaced: the new pepper counts.
    new = keybox.encode(box, under=Seal(pepper=b"n" * 32), randomness=RANDOM)
    files.replace(files.next_pepper(home), b"n" * 32)
    files.replace(home.keybox, new)
    assert keybox.read(home) == box
    Store.open(home).close()
    assert not files.next_pepper(home).exists()
    assert home.pepper.read_bytes() == b"n" * 32
    # And the keybox of before opens with none of them.
    files.replace(home.keybox, old)
    with pytest.raises(FormatError):
        keybox.read(home)


def test_version_1_is_read_and_written_anew(home: Home) -> None:
    import hashlib

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from ondevice.formats import canonical

    under = Seal(pepper=home.pepper.read_bytes())
    header = bytearray(under.header(bytes(32)))
    header[4] = 1
    plain = canonical.dump(
        {
            "counter": 3,
            "device": "dd" * 32,
            "head": "00" * 32,
            "ledger": "ee" * 32,
            "newest": 5,
            "pending": "",
            "rows": {},
            "secrets": {},
            "store": "ff" * 32,
        }
    )
    nonce = hashlib.sha256(b"nonce").digest()[:12]
    sealed = AESGCM(under.key(bytes(header))).encrypt(nonce, plain, bytes(header))
    home.keybox.write_bytes(bytes(header) + nonce + sealed)

    box = keybox.read(home)

    assert (box.counter, box.generation, box.next, box.erased) == (3, 0, None, 0.0)
    keybox.write(home, box, RANDOM)
    assert home.keybox.read_bytes()[4] == 2
    assert keybox.read(home) == box
