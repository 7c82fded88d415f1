"""The talk between two processes of ours, without the processes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

from llamactl.core.keys import ANYONE, Caller
from llamactl.core.lease import Lease
from llamactl.core.routes import ReadyInstance
from llamactl.hot_restart import Channel, Predecessor
from llamactl.hot_restart.successor import Successor
from llamactl.proxy import LeaseBook

READY = ReadyInstance("a", "127.0.0.1", 1, "key", 1)


class Grants:
    """An activator that grants whatever is asked for."""

    def __init__(self, leases: LeaseBook) -> None:
        self._leases = leases

    async def lease(self, name: str, caller: Caller) -> Lease[str]:
        return self._leases.grant(name, READY)


Talk = Callable[[Channel, LeaseBook, list[bytes]], Awaitable[None]]


def with_predecessor(talk: Talk) -> None:
    """`talk`: as the old process, over its end of the channel."""

    async def run() -> None:
        old, new = map(Channel, Channel.pair())
        leases, clients = LeaseBook(), list[bytes]()
        predecessor = Predecessor(new, leases)

        async def accept(client: socket.socket, held: bytes) -> None:
            client.close()
            clients.append(held)

        serving = asyncio.create_task(
            predecessor.serve(cast(Any, Grants(leases)), cast(Any, None), accept)
        )
        await talk(old, leases, clients)
        old.close()
        await serving
        assert leases.total() == 0

    asyncio.run(run())


async def heard(channel: Channel, what: str) -> dict[str, Any]:
    while (said := (await channel.receive())[0])["what"] != what:
        pass
    return said


async def ask(channel: Channel, number: int) -> int:
    channel.send("lease", id=number, name="a", management=True, key=None)
    return int((await heard(channel, "ready"))["grant"])


def test_a_grant_counts_until_it_is_released() -> None:
    async def talk(old: Channel, leases: LeaseBook, _: list[bytes]) -> None:
        first = await ask(old, 1)
        await ask(old, 2)
        old.send("leases", counts={"a": 1})  # of its own, from before
        old.send("release", grant=first)
        old.send("release", grant=first)
        await ask(old, 3)  # all before it is heard

        assert leases.count("a") == 3  # its own, and two grants; none is left when it is gone

    with_predecessor(talk)


def test_an_older_one_gets_its_grants_as_well() -> None:
    async def talk(old: Channel, leases: LeaseBook, _: list[bytes]) -> None:
        old.send("ensure_ready", id=1, name="a", management=True, key=None)
        assert (await heard(old, "ready"))["grant"] == 1
        assert leases.count("a") == 1

    with_predecessor(talk)


def test_a_grant_that_comes_after_its_request_has_left_is_released() -> None:
    async def run() -> None:
        old, new = map(Channel, Channel.pair())
        successor = Successor(cast(Any, SimpleNamespace(pid=1)), old)
        asked = asyncio.create_task(successor.lease("a", ANYONE))
        number = (await heard(new, "lease"))["id"]
        asked.cancel()
        await heard(new, "leave")
        new.send("ready", id=number, name="a", host="127.0.0.1", port=1, key="", generation=1,
                 grant=7)  # fmt: skip
        assert (await heard(new, "release"))["grant"] == 7
        new.close()

    asyncio.run(run())


def test_a_client_that_comes_without_its_socket_ends_nothing_else() -> None:
    async def talk(old: Channel, _: LeaseBook, clients: list[bytes]) -> None:
        old.send("client", held="")
        one, other = socket.socketpair()
        old.send("client", [one.detach()], held="R0VU")
        await ask(old, 1)
        other.close()

        assert clients == [b"GET"]

    with_predecessor(talk)


def test_what_was_said_before_the_end_is_heard_even_if_the_other_was_not_heard() -> None:
    async def run() -> int:
        old, new = map(Channel, Channel.pair())
        for number in range(200):
            new.send("unheard", number=number)
            old.send("client", [os.open(os.devnull, os.O_RDONLY)], number=number)
        hearing = asyncio.create_task(_count(new))
        await old.sent()
        old.close()
        return await hearing

    assert asyncio.run(run()) == 200


async def _count(channel: Channel) -> int:
    count = 0
    try:
        while True:
            _, fds = await channel.receive()
            for fd in fds:
                os.close(fd)
            count += 1
    except ConnectionError:
        return count
