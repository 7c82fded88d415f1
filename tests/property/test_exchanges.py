"""Clients, engines, the clock and control do what they like: each request has one answer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from typing import Any

import hypothesis.strategies as st
from hypothesis import example, given, settings

from llamactl.core.errors import LlamactlError
from support.control_path import settle
from support.data_path import CHAT, MANAGER, Client, DataPath, Seen, data_path, request

CLIENTS = 3
EVENT = b'data: {"model": "one", "choices": [{"delta": {"content": "x"}}]}\n\n'


class World:
    """Each method is a move; an impossible one does nothing."""

    def __init__(self, there: DataPath) -> None:
        self._there = there
        self._clients = [there.connect() for _ in range(CLIENTS)]
        self._asked: Counter[Client] = Counter()
        self._rest: dict[Client, bytes] = {}  # of a request that was sent in part
        self._begun: dict[int, str] = {}  # answers: by identity of what was seen
        self._number = 0
        there.engine.by_hand = True

    # Clients.

    def _client(self, which: int) -> Client:
        if self._clients[which].wire.closed:
            self._rest.pop(self._clients[which], None)
            self._clients[which] = self._there.connect()
        return self._clients[which]

    def _request(self, *, stream: bool) -> bytes:
        self._number += 1
        body = {"model": "one", "stream": stream, "id": self._number, "more": "x" * 50}
        return request("POST", CHAT, body, key=MANAGER)

    async def ask(self, which: int, flag: bool) -> None:
        client = self._client(which)
        if client not in self._rest:
            self._asked[client] += 1
            client.send(self._request(stream=flag))

    async def ask_in_part(self, which: int, flag: bool) -> None:
        client = self._client(which)
        if client not in self._rest:
            self._asked[client] += 1
            sent = self._request(stream=flag)
            cut = sent.index(b"\r\n\r\n") + (30 if flag else -10)
            self._rest[client] = sent[cut:]
            client.send(sent[:cut])

    async def send_the_rest(self, which: int, flag: bool) -> None:
        client = self._client(which)
        if rest := self._rest.pop(client, b""):
            half = len(rest) // 2 if flag else 0
            client.send(rest[:half] or rest)
            if half:
                client.send(rest[half:])

    async def leave(self, which: int, _flag: bool) -> None:
        self._client(which).leave()

    async def take_nothing_or_more(self, which: int, flag: bool) -> None:
        down = self._client(which).connection
        if flag and down.writable:
            down.pause_writing()
        elif not flag and not down.writable:
            down.resume_writing()

    async def expire(self, which: int, _flag: bool) -> None:
        """The clock: what may take no longer."""
        down = self._client(which).connection
        if down.deadline != inf:
            down.expire()

    # Engines.

    def _seen(self, which: int) -> Seen | None:
        """One of the last requests whose engine can still answer."""
        known = [one for one in self._there.engine.seen if not one.connection.closed]
        last = [one for one in known if self._begun.get(id(one)) != "over"][-CLIENTS:]
        return last[which % len(last)] if last else None

    async def reply(self, which: int, flag: bool) -> None:
        seen = self._seen(which)
        if seen is not None and id(seen) not in self._begun:
            self._begun[id(seen)] = "over"
            seen.reply({"model": "one", "text": "x"}, 200 if flag else 500)

    async def stream(self, which: int, flag: bool) -> None:
        seen = self._seen(which)
        if seen is not None and id(seen) not in self._begun:
            self._begun[id(seen)] = "begun"
            seen.stream(*[EVENT] * flag)

    async def send_more(self, which: int, flag: bool) -> None:
        seen = self._seen(which)
        if seen is not None and self._begun.get(id(seen)) == "begun":
            if not flag:
                self._begun[id(seen)] = "over"
            seen.chunk(EVENT if flag else b"")

    async def send_nonsense(self, which: int, _flag: bool) -> None:
        if (seen := self._seen(which)) is not None:
            self._begun[id(seen)] = "over"
            seen.send(b"nonsense\r\n\r\n")

    async def die(self, which: int, _flag: bool) -> None:
        if (seen := self._seen(which)) is not None:
            self._begun[id(seen)] = "over"
            seen.die()

    async def refuse_connections(self, _which: int, flag: bool) -> None:
        self._there.engine.refuses = flag

    # Control.

    async def stop(self, _which: int, _flag: bool) -> None:
        with suppress(LlamactlError):
            await self._there.control.instances.stop("one", wait=False, force=True)

    async def crash(self, _which: int, _flag: bool) -> None:
        if self._there.control.node.alive:
            self._there.control.node.crash("one")

    # What holds.

    def check(self) -> None:
        for client in self._there.clients:
            client._take()  # raises for what is no answer
            answers = len(client._answers)
            assert answers <= self._asked[client], f"{answers} answers"
            assert not client.wire.late, f"written after the end: {bytes(client.wire.late[:200])!r}"
        self._check_sends()

    def _check_sends(self) -> None:
        """Once it began to answer a request, no other engine gets that."""
        numbers: dict[int, list[Seen]] = {}
        for seen in self._there.engine.seen:
            if seen.complete:
                numbers.setdefault(json.loads(seen.body)["id"], []).append(seen)
        for number, sends in numbers.items():
            assert len(sends) <= 2, f"{number} was sent {len(sends)} times"
            assert all(id(one) not in self._answered for one in sends[:-1])

    @property
    def _answered(self) -> set[int]:
        return {one for one, state in self._begun.items() if state == "begun"}

    async def end(self) -> None:
        self._there.engine.refuses = True
        for client in self._there.clients:
            client.leave()
        for seen in self._there.engine.seen:
            if not seen.connection.closed:
                seen.die()
        await self._there.until_free()


MOVES: Sequence[Callable[..., Any]] = [
    World.ask, World.ask, World.ask_in_part, World.send_the_rest, World.leave, World.expire,
    World.take_nothing_or_more, World.reply, World.stream, World.send_more, World.send_more,
    World.send_nonsense, World.die, World.refuse_connections, World.stop, World.crash,
]  # fmt: skip
move = st.tuples(st.sampled_from(MOVES), st.integers(0, CLIENTS - 1), st.booleans(), st.booleans())


class Errors(logging.Handler):
    """What is logged as a fault of ours."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(f"{record.getMessage()} {record.exc_info}")


async def play(moves: Sequence[tuple[Callable[..., Any], int, bool, bool]]) -> None:
    async with data_path() as there:
        await there.control.create("one", auto_restart=True, restart_delay=0)
        world = World(there)
        for act, which, flag, pause in moves:
            await act(world, which, flag)
            if pause:
                await settle()
            world.check()
        await settle()
        world.check()
        await world.end()


STUCK = [  # it is cut, and before that is seen its stream ends
    (World.ask, 0, False, True), (World.take_nothing_or_more, 0, True, False),
    (World.stream, 0, False, False), (World.expire, 0, False, False),
    (World.send_more, 0, False, False),
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@example(moves=STUCK)
@given(moves=st.lists(move, min_size=20, max_size=60))
def test_whatever_happens_each_request_has_one_answer_and_no_lease_is_left(
    moves: Sequence[tuple[Callable[..., Any], int, bool, bool]],
) -> None:
    errors, ours = Errors(), logging.getLogger("llamactl")

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: errors.found.append(repr(context))
        )
        await play(moves)

    ours.addHandler(errors)
    try:
        asyncio.run(run())
    finally:
        ours.removeHandler(errors)
    assert errors.found == []
