"""Invitations: the one file that lets a person join a publisher's group."""

from collections.abc import Sequence
from pathlib import Path

from ondevice.errors import ConfigError, FormatError
from ondevice.formats import invite as codec
from ondevice.formats.invite import Invite
from server_tools.publish import files, keys, repository


def write(repo: Path, *, url: str, out: Path, catalogues: Sequence[str] = ()) -> Invite:
    """Write the invitation `out`, which holds a secret: whoever has it can read the catalogues.

    Args:
        repo: the repository, with its keys beside it.
        url: where devices find it: https://…, file:///…, or the path of a folder.
        out: the file to write, for its owner alone.
        catalogues: which ones; empty means all that the repository offers, then and later.

    Raises:
        ConfigError: an address that devices refuse, or a catalogue that is not offered.
    """
    unknown = sorted(set(catalogues) - set(repository.catalogues(repo)))
    if unknown:
        raise ConfigError(
            f"{repo} offers no catalogue '{unknown[0]}'",
            hint=f"it offers: {', '.join(repository.catalogues(repo)) or 'none yet'}",
        )
    if "://" not in url:
        folder = Path(url).expanduser()
        if not folder.is_dir():
            raise ConfigError(
                f"{url} is neither a folder nor an address", hint="give https://HOST/PATH"
            )
        url = folder.resolve().as_uri()
    invitation = Invite(
        url=url.rstrip("/"),
        catalogues=tuple(sorted(set(catalogues))),
        root=repository.newest_root(repo),
        group_private=keys.group(repo).private_bytes_raw(),
    )
    try:
        blob = codec.encode(invitation)
    except FormatError as error:
        raise ConfigError(
            f"devices would refuse this invitation: {error}",
            hint="the address starts with https:// or file:///",
        ) from error
    files.put_secret(out, blob)
    return invitation
