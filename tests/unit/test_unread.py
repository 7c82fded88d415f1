"""What waits for its turn is read in its order, in parts that take about as long each."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.proxy.http.turns import Turns
from llamactl.proxy.http.unread import Unread

MB = 1 << 20
A_TURN = 0.0005  # seconds


class Slow:
    """A reader to whom each byte costs so many seconds. `parts` are the sizes of what it read."""

    reads, in_body, caller = True, True, ""

    def __init__(self, each: float) -> None:
        self.now, self.each = 0.0, each
        self.seen, self.parts = b"", list[int]()
        self.read_some = asyncio.Event()

    def read(self, part: bytes) -> None:
        self.now += len(part) * self.each
        self.seen += part
        self.parts.append(len(part))
        self.read_some.set()


def read(each: float, come: list[bytes]) -> Slow:
    async def go() -> Slow:
        reader = Slow(each)
        unread = Unread(reader, Turns(lambda: reader.now))
        for data in come:
            unread.put(data)
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            while len(reader.seen) < sum(map(len, come)):
                reader.read_some.clear()
                await reader.read_some.wait()
        assert len(unread) == 0
        assert not unread.data
        return reader

    return asyncio.run(go())


@given(come=st.lists(st.binary(max_size=40_000), max_size=6), each=st.sampled_from([0, 1e-8, 1e-6]))
def test_all_is_read_in_its_order(come: list[bytes], each: float) -> None:
    assert read(each, come).seen == b"".join(come)


@pytest.mark.parametrize("each", [1e-6, 3e-7, 1e-8])
def test_what_takes_long_is_read_in_small_parts(each: float) -> None:
    parts = read(each, [bytes(MB // 4)]).parts

    assert max(parts) * each < 3 * A_TURN
    assert parts[0] * each < A_TURN + 1e-4  # before anything is known of it, too


def test_what_takes_no_time_is_read_in_large_parts() -> None:
    parts = read(0, [bytes(MB)]).parts

    assert set(parts[10:-1]) == {8192}
