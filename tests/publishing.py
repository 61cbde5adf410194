"""A small publisher and a small device for tests: real formats, keys and files, tiny vectors."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ondevice.domain import Item, Scenario
from ondevice.formats.invite import Invite
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32
from ondevice.paths import Home
from ondevice.privacy.randomness import SystemRandomness
from server_tools.embed import local
from server_tools.publish import invite, keys, repository

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
WIDTH, DIMENSION = 16, 8
ONE = keys.Threshold()


class WordEncoder:
    """Stands in for the encoder where its weights do not matter: sums a vector of each word."""

    digest = hashlib.sha256(b"word encoder").hexdigest()

    def __init__(self) -> None:
        self.encoded = 0  # texts so far

    def encode(self, texts: Sequence[str]) -> F32:
        self.encoded += len(texts)
        rows = [sum((_word(word) for word in text.lower().split()), _word("")) for text in texts]
        dense = np.asarray(rows, dtype=np.float32)
        return np.asarray(dense / np.linalg.norm(dense, axis=1, keepdims=True), dtype=np.float32)


def _word(word: str) -> F32:
    raw = hashlib.sha256(word.encode()).digest()[:WIDTH]
    return np.frombuffer(raw, np.int8).astype(np.float32)


def small_space(name: str = "small") -> Space:
    basis, _ = np.linalg.qr(np.random.default_rng(7).normal(size=(WIDTH, WIDTH)))
    return Space(
        name=name,
        encoder=WordEncoder.digest,
        centre=np.zeros(WIDTH, dtype=np.float32),
        projection=np.ascontiguousarray(basis[:DIMENSION], dtype=np.float32),
        half_life=64,
        temperature=8.0,
        mean=np.zeros(DIMENSION, dtype=np.float32),
        between=np.eye(DIMENSION, dtype=np.float32),
        within=np.eye(DIMENSION, dtype=np.float32),
    )


def some_items(count: int = 12, *, changed: int | None = None) -> list[Item]:
    """Items whose text differs; `changed` gets another title and nothing else."""
    nouns = ("lamp", "kettle", "novel", "radio", "fund", "choir")
    return [
        Item(
            id=f"item:{i}",
            title=f"{nouns[i % 6]} number {i}" + (" (new)" if i == changed else ""),
            description=f"A {nouns[i % 6]} for the {i}th room of the house.",
            category=nouns[i % 6],
            tags=("home", f"tag{i % 4}"),
            popularity=float(10 * i + 1),
        )
        for i in range(count)
    ]


class Ring(dict[str, bytes]):
    """Secrets of one device, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.device_private = X25519PrivateKey.generate().private_bytes_raw()

    @property
    def device_public(self) -> str:
        private = X25519PrivateKey.from_private_bytes(self.device_private)
        return private.public_key().public_bytes_raw().hex()

    def put(self, name: str, secret: bytes) -> None:
        self[name] = secret

    def drop(self, name: str) -> None:
        self.pop(name, None)


@dataclass
class Publisher:
    """One publisher's folders below `base`."""

    base: Path
    randomness: SystemRandomness = field(default_factory=SystemRandomness)

    @property
    def repo(self) -> Path:
        return self.base / "repo"

    def init(self, *, now: datetime = NOW, threshold: keys.Threshold = ONE) -> "Publisher":
        keys.init(self.repo, now=now, randomness=self.randomness, threshold=threshold)
        return self

    def publish(
        self,
        items: Sequence[Item],
        *,
        catalogue: str = "rooms",
        now: datetime = NOW,
        dry_run: bool = False,
    ) -> repository.Report:
        build = self.base / f"build-{catalogue}"
        local.build(
            items,
            encoder=WordEncoder(),
            into=small_space(),
            details=local.Details(
                catalogue=catalogue, scenario=Scenario.ECOMMERCE, title="Things for rooms"
            ),
            out=build,
        )
        return repository.publish(
            build, self.repo, now=now, randomness=self.randomness, dry_run=dry_run
        )

    def invite(self, *, url: str = "", catalogues: Sequence[str] = ()) -> Path:
        out = self.base / "me.invite"
        invite.write(self.repo, url=url or str(self.repo), out=out, catalogues=catalogues)
        return out

    def metadata(self, name: str) -> Path:
        return self.repo / "metadata" / name

    def files(self, suffix: str) -> list[Path]:
        """Target files of any catalogue whose name ends so, oldest first."""
        found = (self.repo / "targets").rglob(f"*{suffix}")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)


@dataclass
class Device:
    """One person's home, and the secrets in it."""

    base: Path
    keys: Ring = field(default_factory=Ring)

    @property
    def home(self) -> Home:
        return Home(self.base / "home")


def rewrite_invite(path: Path, **changes: object) -> Path:
    """Change fields of an invitation that was written."""
    from dataclasses import replace

    from ondevice.formats.invite import decode, encode

    old: Invite = decode(path.read_bytes())
    path.write_bytes(encode(replace(old, **changes)))  # type: ignore[arg-type]  # any field
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, for comparing before and after."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
