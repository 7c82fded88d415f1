"""How clients are shared among processes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from llamactl.proxy_process.open_counts import OpenCounts
from llamactl.proxy_process.relaying.acceptor import Acceptor

WITHIN_S = 20


@pytest.fixture
def counts() -> Iterator[OpenCounts]:
    yield OpenCounts(OpenCounts.create(3), 3)


def test_nobody_is_there_at_first(counts: OpenCounts) -> None:
    assert counts.total() == 0
    assert counts.ahead(0, 5) == 0  # of none


def test_one_that_is_gone_is_not_waited_for(counts: OpenCounts) -> None:
    for slot, count in enumerate((4, 1, 9)):
        counts.set(slot, count)

    assert [counts.ahead(slot, n) for slot, n in enumerate((4, 1, 9))] == [3, -3, 8]
    counts.clear(1)
    assert counts.ahead(0, 4) == -5
    assert counts.total() == 13


def shared(clients: int, blocked: bool) -> list[int]:
    """How many of them two acceptors of one socket get; a blocked one takes none."""

    async def run() -> list[int]:
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        listeners = [listener, listener.dup(), listener.dup()]
        counts = OpenCounts(OpenCounts.create(2), 2)
        taken: list[list[socket.socket]] = [[], []]
        all_there = asyncio.Event()

        def acceptor(slot: int) -> Acceptor:
            async def serve(client: socket.socket) -> None:
                taken[slot].append(client)
                if sum(map(len, taken)) == clients:
                    all_there.set()

            return Acceptor(listeners[slot], counts, slot, serve, lambda: len(taken[slot]))

        acceptors = [acceptor(0)]
        if blocked:
            counts.set(1, 0)  # it is there, and does nothing
        else:
            acceptors.append(acceptor(1))
        with ExitStack() as stack:
            for _ in range(clients):
                stack.enter_context(socket.create_connection(listener.getsockname()))
            async with asyncio.timeout(WITHIN_S):
                await all_there.wait()
            for one in acceptors:
                one.close()
            for one_socket in (*taken[0], *taken[1], *listeners):
                one_socket.close()
            for one in acceptors:  # asked to retire twice, say
                one.close()
        assert counts.all() == ([-1, 0] if blocked else [-1, -1])
        return [len(part) for part in taken]

    return asyncio.run(run())


def test_each_gets_about_as_many() -> None:
    first, second = shared(64, blocked=False)

    assert abs(first - second) <= 64 * 0.1


def test_one_that_does_nothing_keeps_nobody_waiting() -> None:
    assert shared(40, blocked=True) == [40, 0]
