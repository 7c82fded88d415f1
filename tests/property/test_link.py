"""A link on which messages are late, come twice, overtake each other, or end: leases stay true."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import hypothesis.strategies as st
from hypothesis import given, settings

from llamactl.core.errors import ShuttingDown
from llamactl.core.keys import ANYONE, Caller
from llamactl.core.lease import Lease
from llamactl.core.routes import ReadyInstance
from llamactl.link import ControlEnd, LeaseNews, ProxyEnd
from llamactl.link.control_end import Deciding
from llamactl.link.messages import Message, encode
from llamactl.proxy import LeaseBook

NAMES = "ab"
READY = ReadyInstance("a", "127.0.0.1", 1, "", 1)


class Wire:
    """An end whose messages somebody else carries."""

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self._come: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        self.out.append(encode(message))

    async def receive(self) -> tuple[bytes, list[int]]:
        data = await self._come.get()
        if data is None:
            raise ConnectionError
        return data, []

    def bring(self, data: bytes | None) -> None:
        self._come.put_nowait(data)


class Control:
    """Grants when it likes."""

    def __init__(self, leases: LeaseBook) -> None:
        self._leases = leases
        self.waiting: list[asyncio.Future[None]] = []

    async def lease(self, name: str, caller: Caller) -> Lease[str]:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        await turn
        return self._leases.grant(name, READY)

    def ahead(self, name: str, caller: Caller) -> int:
        return 0


class World:
    """Each method is a move; an impossible one does nothing."""

    def __init__(self) -> None:
        self.proxy, self.control = Wire(), Wire()
        self.mine, self.theirs = LeaseBook(), LeaseBook()
        self.end = ProxyEnd(cast(Any, self.proxy))
        self.mine.on_change = LeaseNews(self.mine.count, self.end.tell_leases).note
        self.activator = Control(self.theirs)
        deciding = Deciding(
            cast(Any, self.activator), cast(Any, None), cast(Any, None), lambda right: None
        )
        link = ControlEnd(cast(Any, self.control), self.theirs)
        self.serving = asyncio.create_task(link.serve(deciding))
        self.asked: list[asyncio.Task[Lease[int]]] = []
        self.is_cut = False

    def ask(self, n: int) -> None:
        self.asked.append(asyncio.create_task(self.end.lease(NAMES[n % 2], ANYONE)))

    def leave(self, n: int) -> None:
        if self.asked:
            self.asked[n % len(self.asked)].cancel()

    def release(self, n: int) -> None:
        held = [one for one in self.asked if one.done() and not one.cancelled()]
        if held and (one := held[n % len(held)]).exception() is None:
            one.result().release()
            self.asked.remove(one)

    def grant(self, n: int) -> None:
        if self.activator.waiting:
            turn = self.activator.waiting.pop(n % len(self.activator.waiting))
            if not turn.done():
                turn.set_result(None)

    def take_own(self, n: int) -> None:
        self.mine.take(NAMES[n % 2])

    def give_back_own(self, n: int) -> None:
        if self.mine.count(NAMES[n % 2]):
            self.mine.give_back(NAMES[n % 2])

    def bring(self, n: int) -> None:
        """Any message that is on its way."""
        ways = ((self.proxy, self.control), (self.control, self.proxy))
        source, target = ways[n % 2] if ways[n % 2][0].out else ways[1 - n % 2]
        if source.out:
            target.bring(source.out.pop(n // 2 % len(source.out)))

    def bring_twice(self, n: int) -> None:
        for wire in (self.proxy, self.control):
            if wire.out:
                wire.out.append(wire.out[n % len(wire.out)])
        self.bring(n)

    def cut(self, n: int) -> None:
        if n == 7:  # seldom
            self.is_cut = True
            for wire in (self.proxy, self.control):
                wire.bring(None)

    async def settle(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """All arrives, in any order."""
        while self.proxy.out or self.control.out or self.activator.waiting:
            self.grant(0)
            self.bring(len(self.proxy.out) * 3)
            await self.settle()


MOVES = [World.ask, World.leave, World.release, World.grant, World.take_own, World.give_back_own,
         World.bring, World.bring, World.bring_twice, World.cut]  # fmt: skip
PLAN = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 31)), max_size=60)


async def check_leases(plan: Sequence[tuple[Any, int]]) -> None:
    world = World()
    for move, n in plan:
        move(world, n)
        await world.settle()
        if world.is_cut:
            break
    if world.is_cut:
        await asyncio.wait_for(world.serving, 10)
        assert world.theirs.total() == 0
        world.ask(0)
        await world.settle()
        for one in world.asked:
            assert one.done()
            if not one.cancelled() and (error := one.exception()) is not None:
                assert isinstance(error, ShuttingDown)
        return
    await world.finish()
    assert all(one.done() for one in world.asked), "a request that nobody answers"
    held = [one.result() for one in world.asked if not one.cancelled()]
    assert world.theirs.total() == len(held) + world.mine.total()
    for lease in held:
        lease.release()
    for name in NAMES:
        while world.mine.count(name):
            world.mine.give_back(name)
    await world.settle()
    await world.finish()
    assert world.theirs.total() == 0, "leases that nobody holds"
    world.control.bring(None)
    world.proxy.bring(None)
    await asyncio.wait_for(world.serving, 10)


@settings(max_examples=400)
@given(PLAN)
def test_leases_on_both_ends_are_the_same(plan: Sequence[tuple[Any, int]]) -> None:
    asyncio.run(check_leases(plan))
