"""The end of a process that relays: it asks for leases, and reports those that it holds."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from llamactl.core.errors import ControlGone, LlamactlError
from llamactl.core.exits import Aftermath
from llamactl.core.keys import Caller
from llamactl.core.lease import Lease
from llamactl.core.routes import ReadyInstance
from llamactl.link.channel import Channel, close_all
from llamactl.link.messages import (
    AftermathAsked,
    AftermathKnown,
    ClientGiven,
    Failed,
    Granted,
    LeaseAsked,
    LeasesChanged,
    Left,
    Listening,
    Prepared,
    Refused,
    Released,
    Right,
    RightChanged,
    Serving,
    Step,
    Unknown,
    heard_by_proxy,
)
from llamactl.observe import logger

if TYPE_CHECKING:
    from llamactl.link.control_news import NewsOfControl

_Answer = Granted | Refused | AftermathKnown
log = logger("link")


class ProxyEnd:
    """An activator, whose other end is another process."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.steps: asyncio.Queue[Step | None] = asyncio.Queue()  # None: the other one is gone
        self.on_right: Callable[[Right], None] | None = None
        self.on_news: Callable[[NewsOfControl | ClientGiven, list[int]], None] | None = None
        self._asks: dict[int, asyncio.Future[_Answer]] = {}
        self._ids = itertools.count()
        self._turns = itertools.count(1)
        self._held: set[int] = set()  # grants that were not released
        self._gone = False
        self._hearing = asyncio.create_task(self._hear())

    def __repr__(self) -> str:
        return f"<ProxyEnd with {len(self._asks)} requests, {len(self._held)} grants>"

    async def lease(self, name: str, caller: Caller) -> Lease[int]:
        """It counts there, until it is released here or this process ends.

        Raises what the other one does, or ControlGone. Cancelling leaves.
        """
        number, key = next(self._ids), caller.key.id if caller.key else None
        ask = LeaseAsked(
            id=number, name=name, management=caller.management, key=key, address=caller.address
        )
        said = await self._ask(number, ask)
        assert isinstance(said, Granted), said
        endpoint = ReadyInstance(
            said.name, said.host, said.port, said.key, said.generation, said.backend
        )
        lease = Lease(endpoint, said.grant, self._release)
        lease.ahead = said.ahead
        return lease

    def ahead(self, name: str, caller: Caller) -> int:
        """That is not known here."""
        return 0

    async def aftermath(self, name: str, generation: int) -> Aftermath:
        number = next(self._ids)
        ask = AftermathAsked(id=number, name=name, generation=generation)
        said = await self._ask(number, ask)
        assert isinstance(said, AftermathKnown), said
        return Aftermath(said.so, said.crashed, said.why)

    def tell_leases(self, counts: Mapping[str, int]) -> None:
        """What is held that the other end did not grant."""
        self.channel.send(LeasesChanged(counts=counts, turn=next(self._turns)))

    def tell_right(self, right: Right) -> None:
        self.channel.send(RightChanged(right=right))

    def give_client(self, fd: int, held: bytes, *, for_control: bool = False) -> None:
        """`for_control`: what it asks for next is not served by proxy processes."""
        self.channel.send(ClientGiven.holding(held, for_control=for_control), [fd])

    async def _ask(self, number: int, ask: LeaseAsked | AftermathAsked) -> _Answer:
        if self._gone:
            raise _nobody()
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._asks[number] = answer
        self.channel.send(ask)
        try:
            said = await answer
        except asyncio.CancelledError:
            self.channel.send(Left(id=number))
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                self._give_back(answer.result())
            raise
        finally:
            del self._asks[number]
        if isinstance(said, Refused):
            raise _error(said)
        return said

    def _release(self, grant: int) -> None:
        self._held.discard(grant)
        self.channel.send(Released(grant=grant))

    def _give_back(self, said: _Answer) -> None:
        """The one who asked is gone."""
        if isinstance(said, Granted):
            self._release(said.grant)

    async def _hear(self) -> None:
        with suppress(ConnectionError):
            while True:
                data, fds = await self.channel.receive()
                match heard_by_proxy(data):
                    case Granted() | Refused() | AftermathKnown() as said:
                        self._hear_answer(said)
                    case RightChanged(right=right):
                        if self.on_right is not None:
                            self.on_right(right)
                    case Unknown() as said:
                        close_all(fds)
                        log.warning("message_not_understood", what=said.what, reason=said.why)
                    case Prepared() | Serving() | Listening() | Failed() as step:
                        self.steps.put_nowait(step)
                    case news:
                        self._hear_news(news, fds)
        self._gone = True
        self.steps.put_nowait(None)
        for answer in self._asks.values():
            if not answer.done():
                answer.set_exception(_nobody())

    def _hear_news(self, news: NewsOfControl | ClientGiven, fds: list[int]) -> None:
        if self.on_news is not None:
            try:
                self.on_news(news, fds)
            except Exception as exc:  # the link is needed for all else
                log.failure("message_failed", exc, what=news.what)
        else:
            close_all(fds)
            log.warning("message_not_due", what=news.what)

    def _hear_answer(self, said: _Answer) -> None:
        if isinstance(said, Granted) and said.grant in self._held:
            return  # it was said before
        answer = self._asks.get(said.id)
        if answer is None or answer.done():
            self._give_back(said)
            return
        if isinstance(said, Granted):
            self._held.add(said.grant)
        answer.set_result(said)


def _nobody() -> ControlGone:
    return ControlGone("the process of llamactl that decides about instances is gone; retry")


def _error(said: Refused) -> LlamactlError:
    error = LlamactlError(said.error, details=said.details, private=said.private)
    error.code, error.status, error.retry_after = said.code, said.status, said.retry_after
    return error
