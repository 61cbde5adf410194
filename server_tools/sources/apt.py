"""Programs of this machine: the Debian packages that are installed, as dpkg describes them."""

import os
import shutil
import subprocess
from collections.abc import Iterator

from ondevice.domain import Item
from ondevice.errors import ConfigError, NotReadyError
from server_tools.sources import rows

_UNIT, _RECORD = "\x1f", "\x1e"  # no field of dpkg holds them
_FIELDS = ("db:Status-Abbrev", "Package", "Section", "Homepage", "Tag", "Description")
_FORMAT = _UNIT.join(f"${{{field}}}" for field in _FIELDS) + _RECORD
_SECONDS = 120


def read(pattern: str = "") -> Iterator[Item]:
    """Yield the installed packages whose name matches `pattern` (as dpkg does; "" is all).

    Id `deb:NAME`, title "NAME: short description", the long description, the section as
    category, the facets of the package's tags, and the home page.

    Raises:
        NotReadyError: there is no dpkg on this machine.
        ConfigError: nothing matches.
    """
    return rows.items(_rows(_query(pattern)), source=f"apt:{pattern}")


def _query(pattern: str) -> str:
    program = shutil.which("dpkg-query")
    if program is None:
        raise NotReadyError(
            "apt: needs dpkg-query, which is not on this machine",
            hint="use it on Debian or Ubuntu; elsewhere give a .jsonl or .csv file",
        )
    command = [program, "--show", f"--showformat={_FORMAT}", "--", *([pattern] if pattern else [])]
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        timeout=_SECONDS,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    if done.returncode:
        raise ConfigError(
            done.stderr.decode("utf-8", "replace").strip() or "dpkg-query failed",
            hint="leave the pattern out, or quote it: 'apt:python3-*'",
        )
    return done.stdout.decode("utf-8", "replace")


def _rows(output: str) -> Iterator[rows.Row]:
    seen: set[str] = set()
    for record in output.split(_RECORD):
        status, name, section, homepage, tags, description = _fields(record)
        if not status.startswith("ii") or name in seen:  # a second architecture of the same
            continue
        seen.add(name)
        summary, _, text = description.partition("\n")
        yield (
            f"dpkg, package {name}",
            {
                "id": f"deb:{name}",
                "title": f"{name}: {summary.strip()}" if summary.strip() else name,
                "description": _unfolded(text),
                "category": section.rpartition("/")[2],
                "tags": [tag.strip().rpartition("::")[2] for tag in tags.split(",")],
                "url": homepage if homepage.startswith(("https://", "http://")) else None,
            },
        )


def _fields(record: str) -> list[str]:
    parts = record.split(_UNIT)
    return parts if len(parts) == len(_FIELDS) else [""] * len(_FIELDS)


def _unfolded(text: str) -> str:
    """Join the lines of each paragraph; a line with a single dot separates two of them."""
    paragraphs = [[""]]
    for line in text.splitlines():
        if line.strip() == ".":
            paragraphs.append([])
        else:
            paragraphs[-1].append(line.strip())
    return "\n".join(" ".join(words).strip() for words in paragraphs).strip()
