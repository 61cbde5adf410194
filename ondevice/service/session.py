"""The world of one person, opened once: configuration, store, catalogues, encoder.

Everything is opened at first use: a command that needs no encoder never loads ONNX Runtime.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ondevice.config import Config, load
from ondevice.errors import FormatError, IntegrityError, NotReadyError, OnDeviceError
from ondevice.paths import Home, bundled, default_home

if TYPE_CHECKING:
    from ondevice.encoder.session import Encoder
    from ondevice.formats.catalogue import Catalogue
    from ondevice.formats.space import Space
    from ondevice.formats.tensors import F32
    from ondevice.store import Store
    from ondevice.updates.install import Installed

AGAIN = "ondevice-rec catalogue remove {}, then add the publisher's invite file again"
REINSTALL = "reinstall the package: pip install --force-reinstall ondevice-rec"


class Session:
    """One person's open world. Use `Session.open`; not thread-safe, one per thread."""

    def __init__(self, home: Home, config: Config, *, sample: bool = False) -> None:
        self.home = home
        self.config = config
        self.sample = sample  # the invented person of the demo
        self._sent_before = _sent_so_far()
        self._catalogues: dict[str, Catalogue] = {}

    @classmethod
    @contextmanager
    def open(cls, root: Path | None = None, *, sample: bool = False) -> Iterator["Session"]:
        """Open the home `root` (None: the default); it is made at the first use of its store.

        Raises:
            ConfigError: the configuration file is wrong.
        """
        home = Home(root or default_home())
        session = cls(home, load(home.config), sample=sample)
        try:
            yield session
        finally:
            session.close()

    def close(self) -> None:
        """Close what was opened. Closing twice is fine."""
        store = self.__dict__.pop("store", None)
        if store is not None:
            store.close()

    @cached_property
    def store(self) -> "Store":
        """The encrypted store. Raises what `Store.open` raises.

        Words older than `keep_text_days` are forgotten before anybody reads them.
        """
        from ondevice.store import Store

        opened = Store.open(self.home)
        if self.config.keep_text_days is not None:
            from ondevice.service import retention

            self.__dict__["store"] = opened
            with suppress(OnDeviceError):  # it stays due, and the audit says so
                retention.enforce(self)
        return opened

    @cached_property
    def encoder(self) -> "Encoder":
        """The shipped encoder."""
        from ondevice.encoder.session import Encoder

        return Encoder.load(bundled("encoder"))

    def embed(self, space: "Space", texts: "Sequence[str]") -> "tuple[F32, F32]":
        """Encode `texts` and bring them into `space`.

        Returns:
            Unit vectors of the encoder, (n, 384), and of the space, (n, d).

        Raises:
            NotReadyError: the space belongs to another encoder than the one installed here.
        """
        if space.encoder != self.encoder.digest:
            raise NotReadyError(
                f"the space '{space.name}' was made for another encoder than this program has",
                hint="upgrade ondevice-rec, or ask the publisher to build the catalogue again",
            )
        encoded = self.encoder.encode(texts)
        return encoded, space.project(encoded)

    @cached_property
    def base_space(self) -> "Space":
        """The space that ships with the package; free text without a catalogue lives here."""
        from ondevice.formats import space

        return space.read(bundled("space"))

    def installed(self) -> list["Installed"]:
        """Every catalogue on this device: the person's own first, then the samples."""
        from ondevice.updates import embedded, install

        own = install.installed(self.home)
        taken = {entry.id for entry in own}
        return [*own, *(e for e in embedded.installed() if e.id not in taken)]

    def catalogue(self, catalogue_id: str) -> "Catalogue":
        """Load one catalogue, or return the one loaded before.

        Raises:
            NotReadyError: no such catalogue here.
            IntegrityError: its files must not be used.
        """
        known = self._catalogues.get(catalogue_id)
        if known is not None:
            return known
        from ondevice.updates import embedded, install

        own = any(e.id == catalogue_id for e in install.installed(self.home))
        if own or any(e.id == catalogue_id for e in embedded.installed()):
            try:
                loaded = (
                    install.load(self.home, catalogue_id, keys=self.store.keys)
                    if own
                    else embedded.load(catalogue_id)
                )
            except FormatError as error:
                raise IntegrityError(
                    f"the files of catalogue '{catalogue_id}' must not be used: {error}",
                    hint=error.hint or (AGAIN.format(catalogue_id) if own else REINSTALL),
                ) from error
        else:
            names = ", ".join(e.id for e in self.installed())
            raise NotReadyError(
                f"there is no catalogue '{catalogue_id}' on this device",
                hint=f"installed: {names}" if names else "add one: ondevice-rec catalogue add FILE",
            )
        self._catalogues[catalogue_id] = loaded
        return loaded

    def pick(self, catalogue_id: str | None, *, public: bool = False) -> "Catalogue":
        """The catalogue asked for; without a wish the one with most behaviours, else the first.

        Args:
            catalogue_id: the wish.
            public: don't look at behaviours: without a wish take the first.

        Raises:
            NotReadyError: nothing is installed, or not the one asked for.
        """
        if catalogue_id is not None:
            return self.catalogue(catalogue_id)
        here = [entry.id for entry in self.installed()]
        if not here:
            raise NotReadyError(
                "no catalogue is installed", hint="add one: ondevice-rec catalogue add FILE.invite"
            )
        if public or not self.has_store:
            return self.catalogue(here[0])
        counts = self.store.behaviours.count_by_catalogue()
        return self.catalogue(max(here, key=lambda name: counts.get(name, 0)))

    @property
    def bytes_sent(self) -> int:
        """Bytes that left this process through the network door since the session was opened."""
        return _sent_so_far() - self._sent_before

    @property
    def has_store(self) -> bool:
        """Whether anything was ever recorded in this home."""
        return "store" in self.__dict__ or self.home.store.exists()


def _sent_so_far() -> int:
    """Ask the network door, if anything has used it in this process."""
    door = sys.modules.get("ondevice.updates.door")
    return int(door.bytes_sent()) if door else 0
