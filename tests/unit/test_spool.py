"""What bodies may take of a disk while they wait."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from llamactl.core.errors import DiskFull, UploadsFull
from llamactl.policy.body.filters import Edit
from llamactl.proxy.relay.body import IN_MEMORY, Body
from llamactl.proxy.relay.spool import Spool, SpoolLimits
from support.full_disk import small_disk


class Anybody:
    """A client whose memory nobody bounds."""

    held = 0
    origin = ""

    def __init__(self, owner: str = "any") -> None:
        self.owner: str | None = owner

    def hold(self, size: int) -> None:
        self.held += size

    def release(self, size: int) -> None:
        self.held -= size


PIECE = b"x" * (1 << 20)


def spool(folder: Path, size: int = 8 << 20, share: float = 0.5, free: int = 0) -> Spool:
    return Spool(folder, SpoolLimits(size, share, free))


@contextmanager
def grown(where: Spool, owner: str, pieces: int) -> Iterator[Body]:
    body = Body(where, 1 << 40, Anybody(owner))
    try:
        for _ in range(pieces):
            body.keep(PIECE)
        yield body
    finally:
        body.forget()


def test_one_caller_gets_its_share_and_no_more(tmp_path: Path) -> None:
    where = spool(tmp_path)
    with grown(where, "greedy", 5):  # the first MiB waits in memory
        with pytest.raises(UploadsFull, match="spool_share"), grown(where, "greedy", 2):
            pass
        with grown(where, "other", 5):
            pass


def test_all_callers_together_get_what_there_is(tmp_path: Path) -> None:
    where = spool(tmp_path)
    full = pytest.raises(UploadsFull, match="spool_size")
    with grown(where, "one", 5), grown(where, "other", 5), full, grown(where, "third", 2):
        pass


@pytest.mark.parametrize(("mib", "outside"), [(4, False), (5, True)])
def test_a_large_file_is_freed_outside_the_event_loop(
    tmp_path: Path, mib: int, outside: bool
) -> None:
    closed_by = list[threading.Thread]()

    class File:
        def close(self) -> None:
            closed_by.append(threading.current_thread())

    async def drop() -> None:
        spool(tmp_path).drop(cast(Any, File()), mib << 20)

    asyncio.run(drop())
    assert [thread is not threading.main_thread() for thread in closed_by] == [outside]


def test_what_is_forgotten_makes_room(tmp_path: Path) -> None:
    where = spool(tmp_path)
    for _ in range(3):
        with grown(where, "greedy", 5) as body:
            body.forget()

    assert repr(where).endswith(" 0 bytes>")


def test_a_part_of_the_disk_is_left_alone(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        where = spool(disk, size=1 << 40, share=1, free=16 << 20)
        with pytest.raises(DiskFull, match="spool_free_space"), grown(where, "any", 2):
            pass
        with grown(where, "any", 1):  # in memory
            pass


def test_a_full_disk_says_so_and_is_charged_to_nobody_afterwards(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        where = spool(disk, size=1 << 40, share=1)
        body = Body(where, 1 << 40, Anybody())
        with pytest.raises(DiskFull):
            for _ in range(9):
                body.keep(PIECE)
        body.forget()

        assert repr(where).endswith(" 0 bytes>")


@pytest.mark.parametrize("size", [1000, IN_MEMORY, 3 * IN_MEMORY + 7])
def test_an_edited_body_is_sent_as_edited(tmp_path: Path, size: int) -> None:
    chance = random.Random(size)
    data = chance.randbytes(size)
    cuts = sorted(chance.sample(range(size), 40)) + [IN_MEMORY - 3] * (size > IN_MEMORY)
    changes = [
        Edit(a, b, chance.randbytes(chance.randrange(9)))
        for a, b in zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False)
    ]
    body = Body(spool(tmp_path, size=1 << 30), 1 << 40, Anybody())
    for at in range(0, size, 70_000):
        body.keep(data[at : at + 70_000])
    assert b"".join(body.pieces()) == data

    body.edit(changes)
    sent = b"".join([*body.chunks, *iter(body.take, b"")])

    expected = data
    for change in reversed(changes):
        expected = expected[: change.start] + change.new + expected[change.end :]
    assert sent == expected
    assert body.size == len(expected)
    body.forget()


def test_what_waits_in_memory_is_counted_once_and_given_back(tmp_path: Path) -> None:
    client = Anybody()
    body = Body(spool(tmp_path), 1 << 40, client)
    body.keep(PIECE[:1000])
    assert client.held == 0
    for _ in range(2):
        body.wait()
        assert client.held == 1000
    body.keep(PIECE)  # on disk
    body.wait()
    assert client.held <= IN_MEMORY
    body.forget()
    assert client.held == 0
