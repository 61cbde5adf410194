"""Metadata of The Update Framework as a publisher would sign it, for attacking it in tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

NOW = datetime(2026, 1, 15, tzinfo=UTC)
ROLES = ("root", "targets", "snapshot", "timestamp")


class Signers:
    """The keys of one publisher, and the metadata that they sign."""

    def __init__(self, *, per_role: int = 1, threshold: int = 1) -> None:
        self.threshold = threshold
        self.keys = {r: [CryptoSigner.generate_ed25519() for _ in range(per_role)] for r in ROLES}

    def root(self, version: int = 1, *, also: "Signers | None" = None, days: int = 365) -> bytes:
        root = Root(version=version, expires=NOW + timedelta(days=days), consistent_snapshot=True)
        for role in ROLES:
            for key in self.keys[role]:
                root.add_key(key.public_key, role)
            root.roles[role].threshold = self.threshold
        return self.sign(root, "root", also=also)

    def sign(self, signed: Any, role: str, *, also: "Signers | None" = None) -> bytes:
        metadata = Metadata(signed)
        for key in self.keys[role][: self.threshold] + (also.keys[role] if also else []):
            metadata.sign(key, append=True)
        return metadata.to_bytes()

    def targets(self, version: int = 1, *, days: int = 90, paths: int = 2) -> bytes:
        files = {
            f"shop/{i}": TargetFile.from_data(f"shop/{i}", b"x" * i, ["sha256"])
            for i in range(paths)
        }
        targets = Targets(version=version, expires=NOW + timedelta(days=days), targets=files)
        return self.sign(targets, "targets")

    def snapshot(
        self, targets: bytes, version: int = 1, *, days: int = 90, names: int = 1
    ) -> bytes:
        named = Metadata[Targets].from_bytes(targets).signed.version
        meta = {"targets.json": MetaFile.from_data(named, targets, ["sha256"])}
        if names == 0:
            meta = {"other.json": MetaFile(1)}
        snapshot = Snapshot(version=version, expires=NOW + timedelta(days=days), meta=meta)
        return self.sign(snapshot, "snapshot")

    def timestamp(self, snapshot: bytes, version: int = 1, *, days: int = 7) -> bytes:
        named = Metadata[Snapshot].from_bytes(snapshot).signed.version
        meta = MetaFile.from_data(named, snapshot, ["sha256"])
        timestamp = Timestamp(
            version=version, expires=NOW + timedelta(days=days), snapshot_meta=meta
        )
        return self.sign(timestamp, "timestamp")
