"""Where things are: a person's home folder, and the data that ships with the package."""

import os
from dataclasses import dataclass
from pathlib import Path

from ondevice.errors import NotReadyError

_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one person on one device. Names every file in it; creates none."""

    root: Path

    @property
    def keybox(self) -> Path:
        """Sealed keys and the counter against rollback."""
        return self.root / "keybox"

    @property
    def pepper(self) -> Path:
        """32 secret bytes that the keybox is sealed under."""
        return self.root / "device.key"

    @property
    def store(self) -> Path:
        """The encrypted database."""
        return self.root / "store.db"

    @property
    def catalogues(self) -> Path:
        """One folder for each installed catalogue."""
        return self.root / "catalogues"

    @property
    def config(self) -> Path:
        """The configuration file; optional."""
        return self.root / "config.toml"


def default_home() -> Path:
    """`ONDEVICE_HOME`, else the platform's folder for a user's application data."""
    given = os.environ.get("ONDEVICE_HOME")
    if given:
        return Path(given).expanduser()
    from platformdirs import user_data_path

    return user_data_path("ondevice-rec", appauthor=False)


def bundled(name: str) -> Path:
    """Return the shipped folder `name`: "encoder", "space" or "demo".

    Packaged data wins; a checkout (or an editable install of one) has it in `models/`.

    Raises:
        NotReadyError: neither place has it.
    """
    for base in (_PACKAGE / "_bundled", _PACKAGE.parent / "models"):
        if (base / name).is_dir():
            return base / name
    raise NotReadyError(
        f"the shipped data '{name}' is missing from this installation",
        hint="reinstall the package: pip install --force-reinstall ondevice-rec",
    )
