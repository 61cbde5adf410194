"""Trust: each attack on the metadata, one at a time, on metadata signed by real keys."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tuf.api.metadata import (
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from ondevice.errors import FormatError, RollbackError, TrustError
from ondevice.formats import canonical
from ondevice.updates import trust
from ondevice.updates.trust import TrustState
from tests.signing import NOW, ROLES, Signers


def accept(state: TrustState, publisher: Signers, version: int, **days: int) -> TrustState:
    """Let `state` see one whole release, every part of this version."""
    targets = publisher.targets(version, days=days.get("targets", 90))
    snapshot = publisher.snapshot(targets, version, days=days.get("snapshot", 90))
    stamp = publisher.timestamp(snapshot, version, days=days.get("timestamp", 7))
    state = trust.with_timestamp(state, stamp)
    return trust.with_targets(trust.with_snapshot(state, snapshot), targets)


@pytest.fixture(scope="module")
def publisher() -> Signers:
    return Signers()


@pytest.fixture
def state(publisher: Signers) -> TrustState:
    return accept(trust.start(publisher.root(), now=NOW), publisher, 5)


def test_an_honest_release_is_believed(state: TrustState, publisher: Signers) -> None:
    newer = accept(state, publisher, 6)

    assert sorted(trust.targets(newer)) == ["shop/0", "shop/1"]
    assert trust.expires(newer) == NOW + timedelta(days=7)
    assert (trust.snapshot_version(newer), trust.targets_version(newer)) == (6, 6)
    trust.recheck(newer)
    trust.targets(newer)["shop/1"].verify(b"x")
    with pytest.raises(TrustError, match="not the file"):
        trust.targets(newer)["shop/1"].verify(b"y")


def test_a_state_with_a_field_of_another_type_is_refused(state: TrustState) -> None:
    for change in ({"targets": 3}, {"root": ""}, {"newest": None}):
        table = {**json.loads(trust.encode(state)), **change}
        with pytest.raises(FormatError, match="is not a text"):
            trust.decode(canonical.dump(table))


def test_the_same_release_twice_is_fine(state: TrustState) -> None:
    assert state.timestamp is not None
    assert trust.with_timestamp(state, state.timestamp) == state


@pytest.mark.parametrize("role", ROLES)
def test_wrong_keys(role: str, state: TrustState, publisher: Signers) -> None:
    stranger = Signers()
    targets = (stranger if role == "targets" else publisher).targets(6)
    snapshot = (stranger if role == "snapshot" else publisher).snapshot(targets, 6)
    stamp = (stranger if role == "timestamp" else publisher).timestamp(snapshot, 6)

    def offer() -> None:
        if role == "root":
            trust.with_root(state, stranger.root(2))
            return
        at = trust.with_snapshot(trust.with_timestamp(state, stamp), snapshot)
        trust.with_targets(at, targets)

    with pytest.raises(TrustError, match=f"{role} \\d is not signed by enough"):
        offer()


def test_one_changed_byte_in_signed_metadata(state: TrustState, publisher: Signers) -> None:
    stamp = publisher.timestamp(publisher.snapshot(publisher.targets(6), 6), 6)
    altered = stamp.replace(b'"version": 6', b'"version": 7').replace(
        b'"version":6', b'"version":7'
    )
    assert altered != stamp

    with pytest.raises(TrustError):
        trust.with_timestamp(state, altered)


def test_a_threshold_needs_as_many_keys() -> None:
    three = Signers(per_role=3, threshold=2)
    state = trust.start(three.root(), now=NOW)
    accept(state, three, 1)

    for role in ("timestamp", "root"):
        three.keys[role] = three.keys[role][:1]  # one signature where two are needed
    snapshot = three.snapshot(three.targets(2), 2)
    with pytest.raises(TrustError, match="not signed by enough"):
        trust.with_timestamp(state, three.timestamp(snapshot, 2))
    with pytest.raises(TrustError, match="not signed by enough"):
        trust.with_root(state, three.root(2))


def test_rollback_of_the_timestamp(state: TrustState, publisher: Signers) -> None:
    with pytest.raises(RollbackError) as caught:
        accept(state, publisher, 4)
    assert (caught.value.offered, caught.value.accepted) == (4, 5)


def test_rollback_of_the_snapshot_under_a_new_timestamp(
    state: TrustState, publisher: Signers
) -> None:
    old = publisher.snapshot(publisher.targets(4), 4)
    with pytest.raises(RollbackError, match="snapshot 4"):
        trust.with_timestamp(state, publisher.timestamp(old, 6))


def test_rollback_of_the_targets_under_a_new_snapshot(
    state: TrustState, publisher: Signers
) -> None:
    snapshot = publisher.snapshot(publisher.targets(4), 6)
    at = trust.with_timestamp(state, publisher.timestamp(snapshot, 6))
    with pytest.raises(RollbackError, match="targets 4"):
        trust.with_snapshot(at, snapshot)


def test_the_snapshot_must_go_on_naming_the_targets(state: TrustState, publisher: Signers) -> None:
    snapshot = publisher.snapshot(publisher.targets(6), 6, names=0)
    at = trust.with_timestamp(state, publisher.timestamp(snapshot, 6))
    with pytest.raises(TrustError, match="does not name any targets"):
        trust.with_snapshot(at, snapshot)


def test_a_snapshot_cannot_let_a_role_disappear(state: TrustState, publisher: Signers) -> None:
    def snapshot(version: int, *extra: str) -> bytes:
        meta = {name: MetaFile(5) for name in ("targets.json", *extra)}
        expires = NOW + timedelta(days=9)
        return publisher.sign(Snapshot(version=version, expires=expires, meta=meta), "snapshot")

    first, second = snapshot(6, "other.json"), snapshot(7)
    at = trust.with_timestamp(state, publisher.timestamp(first, 6))
    at = trust.with_snapshot(at, first)
    assert trust.expires(replace(at, targets=None)) == NOW + timedelta(days=7)
    at = trust.with_timestamp(at, publisher.timestamp(second, 7))
    with pytest.raises(TrustError, match=r"no longer names other\.json"):
        trust.with_snapshot(at, second)


def test_a_number_that_cannot_be_signed(state: TrustState, publisher: Signers) -> None:
    stamp = publisher.timestamp(publisher.snapshot(publisher.targets(6), 6), 6)
    table = json.loads(stamp)
    table["signed"]["odd"] = 1.5
    with pytest.raises(FormatError, match="not timestamp metadata"):
        trust.with_timestamp(state, json.dumps(table).encode())


def test_two_timestamps_of_one_version(state: TrustState, publisher: Signers) -> None:
    other = publisher.timestamp(publisher.snapshot(publisher.targets(9), 9), 5)
    with pytest.raises(TrustError, match="two different files"):
        trust.with_timestamp(state, other)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_expired_parts(role: str, state: TrustState, publisher: Signers) -> None:
    with pytest.raises(TrustError, match=f"{role} 6 expired"):
        accept(state, publisher, 6, **{role: -1})


def test_an_expired_root_is_refused_but_its_successor_may_be_fetched(publisher: Signers) -> None:
    state = trust.start(publisher.root(days=-1), now=NOW)
    with pytest.raises(TrustError, match="root 1 expired"):
        trust.check_root(state)

    trust.check_root(trust.with_root(state, publisher.root(2)))


def test_freeze_with_a_clock_set_back(state: TrustState) -> None:
    assert state.timestamp is not None
    later = trust.at(state, NOW + timedelta(days=8))
    back = trust.at(later, NOW - timedelta(days=300))

    assert back.newest == NOW + timedelta(days=8)
    with pytest.raises(TrustError, match="expired"):
        trust.with_timestamp(back, state.timestamp)


def test_mix_and_match(state: TrustState, publisher: Signers) -> None:
    first, second = publisher.targets(6), publisher.targets(6, paths=3)
    one, other = publisher.snapshot(first, 6), publisher.snapshot(second, 6)
    at = trust.with_timestamp(state, publisher.timestamp(one, 6))

    with pytest.raises(TrustError, match="not the file that was announced"):
        trust.with_snapshot(at, other)
    with pytest.raises(TrustError, match="not the file that was announced"):
        trust.with_targets(trust.with_snapshot(at, one), second)


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_announced_by_version_alone_and_another_one_given(
    role: str, state: TrustState, publisher: Signers
) -> None:
    targets = publisher.targets(6)
    meta = {"targets.json": MetaFile(7)} if role == "targets" else {"targets.json": MetaFile(6)}
    expires = NOW + timedelta(days=9)
    snapshot = publisher.sign(Snapshot(version=6, expires=expires, meta=meta), "snapshot")
    named = MetaFile(6 if role == "targets" else 8)
    stamp = publisher.sign(Timestamp(version=6, expires=expires, snapshot_meta=named), "timestamp")

    def offer() -> None:
        at = trust.with_snapshot(trust.with_timestamp(state, stamp), snapshot)
        trust.with_targets(at, targets)

    with pytest.raises(TrustError, match=f"{role} 6 was offered"):
        offer()


def test_a_root_is_followed_step_by_step(state: TrustState, publisher: Signers) -> None:
    new = Signers()
    second = new.root(2, also=publisher)
    moved = trust.with_root(state, second)

    assert trust.root_version(moved) == 2
    assert moved.timestamp is None  # its key changed: a stolen one cannot have the last word
    accept(moved, new, 1)
    with pytest.raises(TrustError, match="not signed by enough"):
        accept(moved, publisher, 7)
    with pytest.raises(TrustError, match="expected root 2, got root 3"):
        trust.with_root(state, new.root(3, also=publisher))
    with pytest.raises(RollbackError, match="root 1"):
        trust.with_root(moved, publisher.root(1))


def test_a_root_must_be_signed_by_the_old_and_by_the_new_keys(
    state: TrustState, publisher: Signers
) -> None:
    new = Signers()
    with pytest.raises(TrustError, match="not signed by enough"):
        trust.with_root(state, new.root(2))  # only by itself
    unsigned = Metadata[Root].from_bytes(new.root(2))
    unsigned.signatures.clear()
    unsigned.sign(publisher.keys["root"][0])
    with pytest.raises(TrustError, match="not signed by enough"):
        trust.with_root(state, unsigned.to_bytes())  # only by the old one


def test_a_root_with_the_same_keys_keeps_what_was_seen(
    state: TrustState, publisher: Signers
) -> None:
    renewed = trust.with_root(state, publisher.root(2))
    assert renewed.timestamp == state.timestamp
    with pytest.raises(RollbackError):
        accept(renewed, publisher, 4)


def test_an_invitation_with_a_root_that_nobody_signed(publisher: Signers) -> None:
    unsigned = Metadata[Root].from_bytes(publisher.root())
    unsigned.signatures.clear()
    with pytest.raises(TrustError):
        trust.start(unsigned.to_bytes(), now=NOW)


def test_delegations_are_refused(state: TrustState, publisher: Signers) -> None:
    expires = NOW + timedelta(days=9)
    delegating = Targets(version=6, expires=expires, delegations=Delegations({}, {}))
    targets = publisher.sign(delegating, "targets")
    snapshot = publisher.snapshot(targets, 6)
    at = trust.with_timestamp(state, publisher.timestamp(snapshot, 6))
    with pytest.raises(TrustError, match="hand trust on"):
        trust.with_targets(trust.with_snapshot(at, snapshot), targets)


def test_targets_without_sha256_are_refused(state: TrustState, publisher: Signers) -> None:
    file = TargetFile.from_data("shop/0", b"", ["sha512"])
    expires = NOW + timedelta(days=9)
    targets = publisher.sign(
        Targets(version=6, expires=expires, targets={"shop/0": file}), "targets"
    )
    snapshot = publisher.snapshot(targets, 6)
    at = trust.with_timestamp(state, publisher.timestamp(snapshot, 6))
    with pytest.raises(TrustError, match="no SHA-256"):
        trust.targets(trust.with_targets(trust.with_snapshot(at, snapshot), targets))


STEPS: dict[str, Callable[[TrustState, bytes], TrustState]] = {
    "root": trust.with_root,
    "timestamp": trust.with_timestamp,
    "snapshot": trust.with_snapshot,
    "targets": trust.with_targets,
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "blob",
    [b"", b"{}", b"[1]", b"\xff\xfe", b'{"signed": {"_type": "root"}}', b"[" * 100_000,
     b'{"signatures": [], "signed": 3}', b" " * (17 << 20)],
    ids=["empty", "object", "list", "not utf-8", "half", "deep", "number", "huge"],
)  # fmt: skip
def test_malformed_metadata_is_one_kind_of_error(step: str, blob: bytes, state: TrustState) -> None:
    with pytest.raises((FormatError, TrustError)) as caught:
        STEPS[step](state, blob)
    if step in {"root", "timestamp"}:  # the others are refused by digest first
        assert isinstance(caught.value, FormatError)


@pytest.mark.parametrize("step", ["root", "timestamp"])
def test_metadata_of_another_role_is_refused(
    step: str, state: TrustState, publisher: Signers
) -> None:
    with pytest.raises(FormatError, match="expected"):
        STEPS[step](state, publisher.targets(6))


def test_steps_need_the_one_before(publisher: Signers) -> None:
    fresh = trust.start(publisher.root(), now=NOW)
    with pytest.raises(TrustError, match="no timestamp"):
        trust.with_snapshot(fresh, b"{}")
    with pytest.raises(TrustError, match="no snapshot"):
        trust.with_targets(fresh, b"{}")
    with pytest.raises(TrustError, match="no targets"):
        trust.targets(fresh)
    with pytest.raises(TrustError, match="incomplete"):
        trust.recheck(fresh)


def test_recheck_finds_exchanged_parts_and_ignores_expiry(
    state: TrustState, publisher: Signers
) -> None:
    trust.recheck(trust.at(state, NOW + timedelta(days=4000)))
    with pytest.raises(TrustError):
        trust.recheck(replace(state, targets=publisher.targets(9)))
    with pytest.raises(TrustError):
        trust.recheck(replace(state, root=Signers().root()))


def test_a_state_survives_being_stored(state: TrustState, publisher: Signers) -> None:
    assert trust.decode(trust.encode(state)) == state
    fresh = trust.start(publisher.root(), now=NOW)
    assert trust.decode(trust.encode(fresh)) == fresh


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"newest":"2026', b'"newest":"never'),
        (b"+00:00", b""),
        (b'"root":"', b'"roof":"'),
        (b"ondevice-trust/1", b"ondevice-trust/2"),
    ],
)
def test_a_damaged_state_is_refused(state: TrustState, old: bytes, new: bytes) -> None:
    blob = trust.encode(state)
    assert old in blob
    with pytest.raises(FormatError):
        trust.decode(blob.replace(old, new, 1))
