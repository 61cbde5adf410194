"""Secrets by name, and the newest time this device has seen: the rest of the keybox."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ondevice.store import keybox

if TYPE_CHECKING:
    from ondevice.paths import Home
    from ondevice.privacy.randomness import Randomness

_GRAIN = timedelta(hours=1)  # the keybox is written again only when time moved this much


class Keys:
    """A ring of named secrets, kept in the keybox. Names are like "group/<catalogue>"."""

    def __init__(self, home: "Home", randomness: "Randomness") -> None:
        self._home = home
        self._randomness = randomness

    @property
    def device_private(self) -> bytes:
        """The X25519 private key of this device, 32 raw bytes."""
        return keybox.read(self._home).device_private

    def get(self, name: str) -> bytes | None:
        """Return the secret `name`, or None."""
        return keybox.read(self._home).secrets.get(name)

    def put(self, name: str, secret: bytes) -> None:
        """Keep `secret` as `name`; durable when this returns."""
        keybox.update(
            self._home, self._randomness, lambda box: keybox.with_secret(box, name, secret)
        )

    def drop(self, name: str) -> None:
        """Remove the secret `name`, if it is there."""
        keybox.update(self._home, self._randomness, lambda box: keybox.with_secret(box, name, None))

    def newest_time(self, now: datetime) -> datetime:
        """Return `now`, or the newest time ever seen here if the clock was set back since."""
        seen = datetime.fromtimestamp(keybox.read(self._home).newest, UTC)
        if now - seen >= _GRAIN:
            seconds = int(now.timestamp())
            keybox.update(
                self._home,
                self._randomness,
                lambda box: replace(box, newest=max(box.newest, seconds)),
            )
        return max(now, seen)
