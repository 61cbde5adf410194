"""Single devices that a publisher lets read, beside the group of those it has invited.

A device shows its public key (`ondevice-rec device enrol`); the publisher adds it by a name, and
from then on wraps the keys of catalogues for it. Taken out again, a device reads no version that
is published later; what it had, it keeps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from ondevice.errors import ConfigError
from ondevice.formats import canonical, limits
from ondevice.formats.fields import HEX_DIGEST, SLUG, Fields
from server_tools.publish import files, keys

_FILE = "devices.json"
_FORMAT = "ondevice-devices/1"
_LIMIT = 16 << 20
_CATALOGUES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device that may read."""

    name: str
    public: str  # X25519, hex
    catalogues: tuple[str, ...] = ()  # ids; empty: all

    @property
    def key(self) -> X25519PublicKey:
        """What the keys of catalogues are wrapped for."""
        return X25519PublicKey.from_public_bytes(bytes.fromhex(self.public))


def read(repo: Path) -> dict[str, Device]:
    """Return name → device.

    Raises:
        ConfigError: the list can't be read.
        FormatError: it is damaged.
    """
    path = keys.folder(repo) / _FILE
    if not path.exists():
        return {}
    what = str(path)
    table = canonical.load(files.read_secret(path), what=what, limit=_LIMIT)
    fields = Fields(table, what=what, required=("format", "devices"))
    fields.constant("format", _FORMAT)
    entries = fields.mapping("devices", high=limits.RECIPIENTS)
    return {name: _device(name, value, what) for name, value in entries.items()}


def add(repo: Path, device: Device) -> None:
    """Put `device` on the list.

    Raises:
        ConfigError: the name or the key can't be used, or is there already.
    """
    known = read(repo)
    if not SLUG.fullmatch(device.name):
        raise ConfigError(
            f"'{device.name}' can't be the name of a device",
            hint="use a-z, 0-9 and '-', at most 64 characters",
        )
    if not HEX_DIGEST.fullmatch(device.public):
        raise ConfigError(
            f"the key of '{device.name}' is not 64 hex digits",
            hint="on the device: ondevice-rec device enrol",
        )
    for other in known.values():
        if other.name == device.name or other.public == device.public:
            raise ConfigError(
                f"'{other.name}' is enrolled already",
                hint=f"first: ondevice-server devices revoke {other.name} --repo DIR",
            )
    _write(repo, {**known, device.name: device})


def remove(repo: Path, name: str) -> Device:
    """Take the device `name` off the list and return it.

    Raises:
        ConfigError: there is none of this name.
    """
    known = read(repo)
    if name not in known:
        raise ConfigError(
            f"no device '{name}' is enrolled",
            hint=f"enrolled: {', '.join(sorted(known)) or 'none'}",
        )
    gone = known.pop(name)
    _write(repo, known)
    return gone


def recipients(repo: Path, catalogue: str) -> Sequence[X25519PublicKey]:
    """Return the public keys of the devices that may read `catalogue`."""
    return [
        device.key
        for device in read(repo).values()
        if not device.catalogues or catalogue in device.catalogues
    ]


def _write(repo: Path, known: dict[str, Device]) -> None:
    table = {
        name: {"key": device.public, "catalogues": list(device.catalogues)}
        for name, device in sorted(known.items())
    }
    blob = canonical.dump({"format": _FORMAT, "devices": table})
    files.put_secret(keys.folder(repo) / _FILE, blob)


def _device(name: str, value: object, what: str) -> Device:
    fields = Fields(value, what=f"{what}: {name}", required=("key", "catalogues"))
    return Device(
        name=name,
        public=fields.matching("key", HEX_DIGEST),
        catalogues=tuple(str(one) for one in fields.array("catalogues", high=_CATALOGUES)),
    )
