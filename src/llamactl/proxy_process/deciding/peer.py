"""One proxy process, as the process that decides sees it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from llamactl.core.exits import ServedRequest
from llamactl.core.ports.context_use import SentRequest
from llamactl.core.ports.request_log import LoggedRequest, RequestsNow, together
from llamactl.link import Channel, ControlEnd
from llamactl.link.channel import close_all
from llamactl.link.control_end import LeaseCounts
from llamactl.link.control_news import (
    Adopted,
    AgreementAsked,
    CancelAsked,
    Close,
    CountsAsked,
    LastAsked,
    RequestsAsked,
    Retire,
    ServedAsked,
)
from llamactl.link.messages import VERSION, ClientGiven, Message
from llamactl.link.proxy_news import (
    Answers,
    Cancelled,
    Hello,
    LastSent,
    RequestsSaid,
    Served,
)
from llamactl.observe import logger
from llamactl.proxy_process.known_requests import request_of

_HELLO_S = 60.0  # a first one imports what it needs
_ANSWER_S = 1.0
_LOG_S = 5.0  # for an answer to somebody who looks on
_MOST_WAITING = 20_000  # messages to one that takes none
log = logger("proxy")


class Peer:
    def __init__(
        self, name: str, slot: int | None, end: socket.socket, leases: LeaseCounts
    ) -> None:
        """`name`: at the meeting place. `slot`: of `OpenCounts`; None: an earlier llamactl's."""
        self.name = name
        self.slot = slot
        self.channel = Channel(end)
        self.link = ControlEnd(self.channel, leases)
        self.pid = 0
        self.is_informed = False  # of all that it needs to know; changes follow
        self.accepts = asyncio.Event()
        self.is_leaving = False  # as it was asked to
        self._turns = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Answers | None]] = {}
        self._is_gone = False
        self._late: list[LoggedRequest] = []  # that have ended, said after the wait for it

    def __repr__(self) -> str:
        return f"<Peer pid {self.pid} in {self.slot}>"

    async def adopt(self) -> None:
        """Decide for it from now on: its leases count. Raises ConnectionError or TimeoutError."""
        self.channel.send(Adopted(version=VERSION))
        async with asyncio.timeout(_HELLO_S):
            while True:
                said, fds = await self.link.receive()
                close_all(fds)
                if isinstance(said, Hello):
                    break
                log.warning("message_not_due", what=said.what)
        self.pid = said.pid
        self.link.count_all(said.leases)

    def send(self, message: Message) -> None:
        """Nothing, before it knows all."""
        if self.channel.waiting > _MOST_WAITING:
            log.warning("proxy_process_hangs", pid=self.pid)
            self.kill()
        elif self.is_informed:
            self.channel.send(message)

    async def agree(self) -> None:
        """Return when all that was sent is in force there, and its leases are counted here."""
        turn = next(self._turns)
        await self._answer_to(turn, AgreementAsked(turn=turn))

    async def count(self) -> None:
        """Return when it has said what it counted, or takes too long."""
        await self._soon(lambda turn: CountsAsked(id=turn))

    async def served(self, instance_id: str, generation: int) -> Sequence[ServedRequest]:
        """Some of its requests that a process serves, or dropped; none if it takes too long."""
        said = await self._soon(
            lambda turn: ServedAsked(id=turn, instance=instance_id, generation=generation)
        )
        return said.requests if isinstance(said, Served) else ()

    async def last_sent(self, instance_id: str) -> SentRequest | None:
        said = await self._soon(lambda turn: LastAsked(id=turn, instance=instance_id))
        found = said.request if isinstance(said, LastSent) else None
        return None if found is None else request_of(found)

    async def requests(self) -> RequestsNow:
        """What it says too late is part of the next answer."""
        said = await self._soon(lambda turn: RequestsAsked(id=turn), _LOG_S)
        late, self._late = self._late, []
        heard = said.requests if isinstance(said, RequestsSaid) else RequestsNow()
        return together([RequestsNow(ended=late), heard])

    async def cancel(self, request_id: str) -> int:
        said = await self._soon(lambda turn: CancelAsked(id=turn, request=request_id), _LOG_S)
        return said.count if isinstance(said, Cancelled) else 0

    async def _soon(
        self, ask: Callable[[int], Message], limit: float = _ANSWER_S
    ) -> Answers | None:
        """None if it takes too long: others wait for nothing that it may not say."""
        turn = next(self._turns)
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                return await self._answer_to(turn, ask(turn))
        return None

    async def _answer_to(self, turn: int, asked: Message) -> Answers | None:
        if self._is_gone:  # since it was decided to ask it
            return None
        answer: asyncio.Future[Answers | None]
        answer = self._asked[turn] = asyncio.get_running_loop().create_future()
        try:
            self.channel.send(asked)
            return await answer
        finally:
            del self._asked[turn]

    def answered(self, turn: int | None, said: Answers) -> None:
        answer = self._asked.get(turn) if turn is not None else None
        if answer is not None and not answer.done():
            answer.set_result(said)
        elif isinstance(said, RequestsSaid):
            self._late += said.requests.ended

    def ended(self) -> None:
        """Nothing more comes from it."""
        self._is_gone = True
        self.channel.close()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_result(None)

    def give(self, client: socket.socket, held: bytes) -> None:
        self.channel.send(ClientGiven.holding(held), [client.detach()])

    def retire(self, seconds: float) -> None:
        self.is_leaving = True
        self.channel.send(Retire(seconds=seconds))

    def close(self, seconds: float | None) -> None:
        self.is_leaving = True
        self.channel.send(Close(seconds=seconds))

    def kill(self) -> None:
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
