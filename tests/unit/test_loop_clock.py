"""Time in which the loop ran, and what is judged by it."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
import uvloop

from llamactl.control.lifecycle.watches.health import HealthRules, until_unhealthy
from llamactl.node.engine.engine_process import end
from llamactl.node.engine.probe import is_healthy
from llamactl.node.process.process import Ended
from llamactl.observe import LoopClock
from llamactl.observe.loop_clock import TICK_S, loop_clock
from llamactl.proxy import LeaseBook
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.connections import ConnectionRegistry, Limits
from llamactl.proxy.http.turns import Turns
from support.data_path import Wire

STALL_S = 0.35  # longer than every limit here
RUNNERS = [asyncio.run, uvloop.run]
Run = Callable[[Coroutine[Any, Any, None]], None]


def stall() -> None:
    """The fault itself: nothing else runs meanwhile."""
    time.sleep(STALL_S)


def test_an_interval_counts_up_to_the_length_of_a_tick() -> None:
    now = [100.0]
    clock = LoopClock(lambda: now[0])
    began = clock.now()

    now[0] += TICK_S
    clock.tick()
    on_time = clock.now() - began
    now[0] += 50.0
    before_the_tick = clock.now() - began
    clock.tick()
    after_it = clock.now() - began
    now[0] += TICK_S / 2

    assert on_time == pytest.approx(TICK_S)
    assert before_the_tick == after_it == pytest.approx(2 * TICK_S)
    assert clock.now() - began == pytest.approx(2.5 * TICK_S)
    assert clock.lost == pytest.approx(50.0 - TICK_S)


def test_the_loop_says_in_the_log_that_it_stood_still(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    clock = LoopClock(lambda: now[0])
    now[0] += 0.5
    clock.tick()
    assert "loop_stalled" not in caplog.text

    now[0] += 5.0
    clock.tick()

    assert "loop_stalled" in caplog.text


@pytest.mark.parametrize("run", RUNNERS)
def test_an_answer_that_waits_in_its_socket_is_in_time(run: Run) -> None:
    async def test() -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        loop = asyncio.get_running_loop()
        loop_clock()
        loop.call_later(0.01, stall)
        loop.call_later(0.005, far.send, b"here")
        async with loop_clock().timeout(0.02 + TICK_S):
            assert await loop.sock_recv(near, 9) == b"here"
        with near, far:
            pass

    run(test())


@pytest.mark.parametrize("run", RUNNERS)
def test_nobody_is_late_by_a_stall_of_ours(run: Run) -> None:
    """A limit much shorter than the stall: the answer comes right after it."""

    async def test() -> None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        loop_clock()
        loop.call_later(0.01, stall)
        loop.call_later(0.02, lambda: loop.call_later(0.05, answer.set_result, "here"))
        async with loop_clock().timeout(0.4):
            assert await answer == "here"

    run(test())


def test_time_in_which_the_loop_ran_counts() -> None:
    async def test() -> None:
        with pytest.raises(TimeoutError):
            async with loop_clock().timeout(0.05) as limit:
                await asyncio.Future()
        assert limit.expired()
        async with loop_clock().timeout(None):
            await loop_clock().sleep(0.01)

    asyncio.run(test())


async def _healthy_server() -> tuple[asyncio.Server, int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("run", RUNNERS)
def test_a_look_at_a_healthy_engine_succeeds_across_a_stall(run: Run) -> None:
    async def test() -> None:
        server, port = await _healthy_server()
        asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().call_soon(stall))
        assert await is_healthy(port, "/health", "key", 0.3)
        server.close()

    run(test())


def test_looks_that_fail_within_a_stall_make_nobody_unhealthy() -> None:
    """Each look takes a stall, and fails: what ran between them is far from enough."""

    async def test() -> None:
        looks = 0

        async def look() -> bool:
            nonlocal looks
            looks += 1
            if looks > 2:
                over.set()
            stall()
            return False

        over = asyncio.Event()
        rules = HealthRules(interval=0.01, unhealthy_after=0.9)
        watching = asyncio.create_task(until_unhealthy(look, LeaseBook(), "a", rules))
        await over.wait()
        assert not watching.done()
        watching.cancel()

    asyncio.run(test())


class Ends:
    """A process that ends as soon as it is asked to; its exit is seen through a socket."""

    pid = 1

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self.signals: list[int] = []
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[Ended] = loop.create_future()
        loop.add_reader(self._near, self._seen)

    def _seen(self) -> None:
        asyncio.get_running_loop().remove_reader(self._near)
        self.exited.set_result(Ended(0, None))
        self._near.close()

    def signal(self, number: int) -> None:
        self.signals.append(number)
        self._far.close()
        asyncio.get_running_loop().call_soon(stall)


@pytest.mark.parametrize("run", RUNNERS)
def test_an_engine_that_ended_while_nobody_could_see_it_is_not_killed(run: Run) -> None:
    async def test() -> None:
        process = Ends()
        assert not await end(process, 0.3)
        assert process.signals == [signal.SIGTERM]

    run(test())


def connected(clients: ConnectionRegistry, deadline: float) -> Wire:
    wire, connection = Wire(), Downstream(clients)
    connection.connection_made(cast(asyncio.Transport, wire))
    connection.deadline = deadline
    return wire


def test_all_connections_get_the_time_of_a_stall_back() -> None:
    async def test() -> None:
        clients = ConnectionRegistry(lambda *_: None, Limits(), Turns())
        now = asyncio.get_running_loop().time()
        soon, never = connected(clients, now + 0.3), connected(clients, float("inf"))
        stall()
        clients.expire()
        assert not soon.closed and not never.closed
        await loop_clock().sleep(0.4)
        clients.expire()
        assert soon.closed and not never.closed

    asyncio.run(test())


@pytest.mark.parametrize("run", RUNNERS)
def test_what_came_in_a_stall_keeps_an_instance_from_being_idle(run: Run) -> None:
    """A request that waits in its socket as the idle time ends."""

    async def test() -> None:
        loop, leases = asyncio.get_running_loop(), LeaseBook()
        near, far = socket.socketpair()
        with near, far:
            came = asyncio.create_task(_take_when_asked(near, leases))
            idle = asyncio.create_task(leases.idle_for("a", 0.3))
            loop.call_later(0.01, far.send, b"GET")
            loop.call_later(0.01, stall)
            done, _ = await asyncio.wait({came, idle}, return_when=asyncio.FIRST_COMPLETED)
            assert done == {came}
            idle.cancel()

    run(test())


async def _take_when_asked(near: socket.socket, leases: LeaseBook) -> None:
    near.setblocking(False)
    await asyncio.get_running_loop().sock_recv(near, 9)
    leases.take("a")
