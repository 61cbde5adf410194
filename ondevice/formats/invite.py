"""Invitations: the file by which a person joins a publisher's group (SPEC 10).

It holds a secret: whoever has the file reads the catalogues.
"""

import re
from dataclasses import dataclass, field

from ondevice.errors import FormatError
from ondevice.formats import canonical, limits
from ondevice.formats.fields import HEX_DIGEST, SLUG, Fields

FORMAT = "ondevice-invite/1"
_URL = re.compile(r"(https|file)://[!-~]+")
_CATALOGUES = 1024
_ROOT = limits.INVITE // 2  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """Where catalogues are, whom to trust, and the key of the group."""

    url: str  # https://… or file:///…, a folder
    catalogues: tuple[str, ...] = ()  # ids; empty: all that the publisher offers
    root: bytes  # root.json, the first trusted metadata; UTF-8 text
    group_private: bytes = field(repr=False)  # X25519, 32 bytes


def encode(invite: Invite) -> bytes:
    """Write `invite` as one line of canonical JSON (SPEC 10.1).

    Raises:
        FormatError: `decode` would refuse it.
    """
    try:
        root = invite.root.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("the invitation's root metadata is not UTF-8 text") from error
    table = {
        "format": FORMAT,
        "url": invite.url,
        "catalogues": list(invite.catalogues),
        "root": root,
        "group_private": invite.group_private.hex(),
    }
    blob = canonical.dump(table) + b"\n"
    decode(blob)
    return blob


def decode(blob: bytes) -> Invite:
    """Read an invitation; line ends that a mail program put behind it do no harm (SPEC 10.2).

    Raises:
        FormatError: for every malformed input, and no other exception type.
    """
    what = "the invitation"
    if len(blob) > limits.INVITE:
        raise FormatError(f"{what} has {len(blob)} bytes, more than {limits.INVITE}")
    table = canonical.load(blob.rstrip(b"\r\n"), what=what, limit=limits.INVITE)
    fields = Fields(
        table, what=what, required=("format", "url", "catalogues", "root", "group_private")
    )
    fields.constant("format", FORMAT)
    url = fields.matching("url", _URL)
    root = fields.raw("root")
    if len(url) > limits.URL or not isinstance(root, str) or not 1 <= len(root) <= _ROOT:
        raise FormatError(f"{what}: url or root is not a text of the right size")
    catalogues = [_slug(value) for value in fields.array("catalogues", high=_CATALOGUES)]
    if catalogues != sorted(set(catalogues)):
        raise FormatError(f"{what}: catalogues are not in order, once each")
    return Invite(
        url=url,
        catalogues=tuple(catalogues),
        root=root.encode("utf-8"),
        group_private=bytes.fromhex(fields.matching("group_private", HEX_DIGEST)),
    )


def _slug(value: object) -> str:
    if not isinstance(value, str) or not SLUG.fullmatch(value):
        raise FormatError(f"the invitation: {value!r} is not the id of a catalogue")
    return value
