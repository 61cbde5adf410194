"""The check of the catalogues: signatures, digests, and how old they are."""

from datetime import datetime

from ondevice.audit.findings import Finding
from ondevice.errors import OnDeviceError
from ondevice.paths import Home
from ondevice.updates import embedded, install
from ondevice.updates.install import KeyRing


def check(home: Home, *, keys: KeyRing | None, now: datetime, quick: bool) -> Finding:
    """Verify every catalogue again.

    Args:
        home: whose.
        keys: of the home; None where they can't be read: then only the samples are checked.
        now: the time.
        quick: metadata, manifest and decryption; else every digest as well.
    """
    name, stale = "", []
    try:
        own = install.installed(home)
        for one in own:
            if keys is None:
                break
            name = one.id
            verify = install.load if quick else install.verify
            verify(home, one.id, keys=keys)
            stale += [one.id] if one.expires is not None and one.expires <= now else []
        samples = embedded.installed()
        for one in samples:
            name = one.id
            embedded.load(one.id)
    except OnDeviceError as error:
        said = str(error).replace(f"{home.root}/", "")
        return Finding(
            id="catalogues", status="fail", evidence=f"{name}: {said}", file=_file(home, name)
        )
    measured = {"own": len(own), "samples": len(samples)}
    if stale:
        said = f"as signed, but out of date: {', '.join(stale)}; fetch what is newer"
        return Finding(id="catalogues", status="warn", evidence=said, measured=measured)
    said = "the samples are those that this program was released with"
    if keys is None and own:
        said += "; your own can't be opened: keys come first"
        return Finding(id="catalogues", status="n/a", evidence=said, measured=measured)
    said += "; your own are as their publishers signed them" if own else "; none of your own"
    return Finding(id="catalogues", status="pass", evidence=said, measured=measured)


def _file(home: Home, name: str) -> str:
    return f"{home.catalogues.name}/{name}" if (home.catalogues / name).is_dir() else ""
