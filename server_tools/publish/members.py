"""Who may read, changed: devices enrolled and taken out, and the keys of roles and group replaced.

Each change is announced at once to all members by new envelopes, and by new versions of the
catalogues where somebody must not read on.
"""

import copy
from datetime import datetime
from pathlib import Path

from ondevice.errors import ConfigError
from ondevice.privacy.randomness import Randomness
from server_tools.publish import devices, files, keys, repository, signing
from server_tools.publish.devices import Device
from server_tools.publish.signing import Roles

GROUP = "group"


def enrol(repo: Path, device: Device, *, now: datetime, randomness: Randomness) -> dict[str, int]:
    """Let `device` read, from the present versions on; return catalogue → version.

    Raises:
        ConfigError: its name or key can't be used, or it names a catalogue that isn't offered.
        WaitingError: keys that are not here must sign first.
    """
    unknown = sorted(set(device.catalogues) - set(repository.catalogues(repo)))
    if unknown:
        raise ConfigError(
            f"{repo} offers no catalogue '{unknown[0]}'",
            hint=f"it offers: {', '.join(repository.catalogues(repo)) or 'none yet'}",
        )
    with files.locked(signing.existing(repo)):
        signing.refuse_pending(repo)
        devices.add(repo, device)
        return repository.reissue(repo, now=now, randomness=randomness, new_keys=False)


def revoke(repo: Path, name: str, *, now: datetime, randomness: Randomness) -> dict[str, int]:
    """Publish new versions that the device `name` can't read; return catalogue → version.

    What it has, it keeps. Where it also has the group's key, from an invitation, rotate that too.

    Raises:
        ConfigError: there is no such device.
        WaitingError: keys that are not here must sign first.
    """
    with files.locked(signing.existing(repo)):
        signing.refuse_pending(repo)
        devices.remove(repo, name)
        return repository.reissue(repo, now=now, randomness=randomness, new_keys=True)


def rotate(repo: Path, role: str, *, now: datetime, randomness: Randomness) -> None:
    """Replace the keys of `role`, or of the group, and sign again what they had signed.

    As many new keys are made as the role had, with the same threshold. Replaced keys go to the
    folder `retired` beside the others. A second run after an interruption mends what the first
    left.

    Raises:
        ConfigError: no such role.
        WaitingError: keys that are not here must sign first.
    """
    if role != GROUP and role not in keys.ROLES:
        raise ConfigError(
            f"there is no role '{role}'", hint=f"roles: {', '.join((*keys.ROLES, GROUP))}"
        )
    with files.locked(signing.existing(repo)):
        signing.refuse_pending(repo)
        if role == GROUP:
            keys.new_group(repo, randomness)
            repository.reissue(repo, now=now, randomness=randomness, new_keys=True)
            return
        roles = Roles.read(repo)
        before = copy.deepcopy(roles.root.signed)
        count = len(before.roles[role].keyids)
        mark = f".v{before.version + 1}"
        made = keys.make(keys.folder(repo), role, randomness, count=count, mark=mark)
        for keyid in list(before.roles[role].keyids):
            roles.root.signed.revoke_key(keyid, role)
        for one in made:
            roles.root.signed.add_key(one.public_key, role)
        roles.held = keys.held(repo)
        roles.sign_root(now, before=before)
        roles.mend(now)


def renew(repo: Path, *, now: datetime) -> int:
    """Sign the root again for another year; return its version.

    Raises:
        WaitingError: keys that are not here must sign first.
    """
    with files.locked(signing.existing(repo)):
        signing.refuse_pending(repo)
        roles = Roles.read(repo)
        roles.sign_root(now, before=copy.deepcopy(roles.root.signed))
        return int(roles.root.signed.version)


def finish(repo: Path, *, now: datetime) -> tuple[str, ...]:
    """Publish what was waiting for signatures; return the roles.

    Raises:
        ConfigError: nothing waits.
        WaitingError: signatures are still missing.
    """
    with files.locked(signing.existing(repo)):
        return Roles.read(repo).finish(now)
