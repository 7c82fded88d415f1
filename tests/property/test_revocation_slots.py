"""The file of revocations, whatever a cut-off write leaves of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.core.keys import Revocation
from llamactl.node import SlotFile
from llamactl.policy.access.revocation_slots import (
    COUNT,
    EMPTY,
    MOST_SESSIONS,
    SIZE,
    SLOT,
    decode,
    encode,
)

revocations = st.builds(
    Revocation, st.sampled_from(["key", "session"]), st.binary(min_size=1, max_size=58)
)


@pytest.fixture(scope="module", autouse=True)
def no_disk_is_waited_for() -> Iterator[None]:
    """What a file holds is seen at once; only after a power cut does it matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        patch.setattr(os, "fdatasync", lambda fd: None)
        yield


@given(revocations)
def test_what_is_written_is_read(revocation: Revocation) -> None:
    assert decode(encode(revocation)) == revocation


@given(revocations, revocations, st.integers(0, SLOT - 1))
def test_a_write_that_was_cut_off_is_no_revocation(
    old: Revocation, new: Revocation, cut: int
) -> None:
    torn_empty = encode(new)[:cut] + EMPTY[cut:]
    torn_over = encode(new)[:cut] + encode(old)[cut:]

    assert decode(torn_empty) in (None, new)  # it may end in zeros
    assert decode(torn_over) in (None, old, new)


@given(st.binary(max_size=2 * SLOT))
def test_no_bytes_break_the_reader(slot: bytes) -> None:
    found = decode(slot)

    assert found is None or decode(encode(found)) == found


@given(
    kept=st.sets(revocations, max_size=8),
    new=revocations,
    cut=st.integers(0, SLOT),
    spoils=st.binary(max_size=SLOT),
)
def test_what_was_kept_survives_a_cut_anywhere_in_a_later_write(
    kept: set[Revocation], new: Revocation, cut: int, spoils: bytes
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "revocations"
        file = SlotFile(path)
        assert file.open() == []
        for revocation in kept:
            assert file.add(revocation)
        file.close()
        slot = (1 + len(kept)) * SLOT  # the next one
        held = bytearray(path.read_bytes())
        held[slot : slot + cut] = encode(new)[:cut]
        path.write_bytes(held)

        assert {*SlotFile(path).open()} - {new} == kept - {new}


def test_the_room_is_there_from_the_start_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "revocations"
    file = SlotFile(path)
    file.open()
    many = [Revocation("key", b"%d" % number) for number in range(COUNT)]
    assert path.stat().st_blocks * 512 >= SIZE == path.stat().st_size

    assert [file.add(one) for one in many] == [True] * (COUNT - 1) + [False]
    file.discard(many[0])
    assert file.add(many[-1])
    file.close()
    assert {*SlotFile(path).open()} == {*many[1:]}


def test_sign_outs_leave_room_for_keys(tmp_path: Path) -> None:
    file = SlotFile(tmp_path / "revocations")
    file.open()
    kept = [file.add(Revocation("session", b"%d" % number)) for number in range(COUNT)]

    assert sum(kept) == MOST_SESSIONS
    assert file.add(Revocation("key", b"k"))


def test_a_file_that_is_not_ours_is_left_as_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "revocations"
    path.write_bytes(b"something else")
    file = SlotFile(path)

    assert file.open() == []
    assert not file.add(Revocation("key", b"k"))
    assert path.read_bytes() == b"something else"
