"""This device as publishers know it: its public key, by which it is let in alone."""

from dataclasses import asdict, dataclass
from typing import Any

from ondevice.service.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a publisher may know of this device."""

    public_key: str  # X25519, 64 hex digits
    key_id: str  # what names it in envelopes, 16 hex digits
    catalogues: tuple[str, ...]  # ids of installed ones that are opened by this key

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "catalogues": list(self.catalogues)}


def device(session: Session) -> Device:
    """Return the public side of this device's key; the key is made at first use."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from ondevice.formats import envelope
    from ondevice.updates import install

    keys = session.store.keys
    public = X25519PrivateKey.from_private_bytes(keys.device_private).public_key()
    own = (one.id for one in install.installed(session.home))
    return Device(
        public_key=public.public_bytes_raw().hex(),
        key_id=envelope.key_id(public),
        catalogues=tuple(name for name in own if install.opened_by_device(name, keys=keys)),
    )
