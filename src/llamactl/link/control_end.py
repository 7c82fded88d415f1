"""The end of the process that decides: it grants leases, and counts those of the other."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from llamactl.core.errors import LlamactlError, NotFound
from llamactl.core.keys import GUEST, ApiKey, Caller
from llamactl.core.lease import Lease
from llamactl.core.ports.activator import Activator
from llamactl.link.channel import Channel, close_all
from llamactl.link.messages import (
    AftermathAsked,
    AftermathKnown,
    ClientGiven,
    Go,
    Granted,
    LeaseAsked,
    LeasesChanged,
    Left,
    Refused,
    Released,
    Right,
    RightChanged,
    ToControl,
    Unknown,
    Yours,
    heard_by_control,
)
from llamactl.observe import logger

if TYPE_CHECKING:
    from llamactl.link.proxy_news import NewsOfProxy

Accept = Callable[[socket.socket, bytes], Awaitable[None]]
log = logger("link")
_LOOK_S = 0.5  # at the queue, for those who wait


class LeaseCounts(Protocol):
    def take(self, instance_id: str) -> None: ...

    def give_back(self, instance_id: str) -> None: ...


class Keys(Protocol):
    def get(self, key_id: str) -> ApiKey | None: ...


@dataclass(frozen=True, slots=True)
class Deciding:
    """What the other process may ask of this one."""

    activator: Activator
    keys: Keys
    accept: Accept  # serve a client, who has sent this already
    take: Callable[[Right], None]  # a change of a right
    hear: Callable[[NewsOfProxy, Sequence[int]], None] | None = None  # with its descriptors
    give_on: Accept | None = None  # a client to another proxy process; None: `accept` it


class ControlEnd:
    """Leases of the other process count here as ours do, until it is gone."""

    def __init__(self, channel: Channel, leases: LeaseCounts) -> None:
        self.channel = channel
        self._leases = leases
        self._held: Counter[str] = Counter()  # by the other one itself
        self._turns: dict[str, int] = {}  # the newest that was heard, by instance id
        self._grants = itertools.count(1)
        self._granted: dict[int, Lease[Any]] = {}  # that it has not released
        self._asks: dict[int, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<ControlEnd, {self._held.total()} held and {len(self._granted)} granted>"

    @property
    def held(self) -> Mapping[str, int]:
        """Leases of the other one, but for those that were granted here."""
        return self._held

    async def receive(self) -> tuple[ToControl | Unknown, list[int]]:
        """The next message, and its descriptors. Raises ConnectionError."""
        data, fds = await self.channel.receive()
        return heard_by_control(data), fds

    def count(self, counts: Mapping[str, int], turn: int = 0) -> None:
        """It holds so many of these instances."""
        for identity, now in counts.items():
            if turn and turn < self._turns.get(identity, 0):
                continue
            self._turns[identity] = turn
            change = now - self._held[identity]
            for _ in range(change):
                self._leases.take(identity)
            for _ in range(-change):
                self._leases.give_back(identity)
            if now:
                self._held[identity] = now
            else:
                del self._held[identity]

    def count_all(self, counts: Mapping[str, int]) -> None:
        """It holds these, and no others."""
        self.count({**dict.fromkeys(self._held, 0), **counts})

    async def serve(self, deciding: Deciding) -> None:
        """Answer what it asks, take its clients, until it is gone; then it holds nothing."""
        try:
            while True:
                said, fds = await self.receive()
                match said:
                    case LeasesChanged() | Released() | Left():
                        self._hear_leases(said)
                    case LeaseAsked():
                        self._answer(said.id, self._grant(said, deciding))
                    case AftermathAsked():
                        self._answer(said.id, _aftermath(said, deciding.activator))
                    case ClientGiven():
                        to = deciding.accept if said.for_control else deciding.give_on
                        await _accept(said, fds, to or deciding.accept)
                    case RightChanged():
                        deciding.take(said.right)
                    case Unknown():
                        close_all(fds)
                        self._refuse(said)
                    case Yours() | Go():
                        log.warning("message_not_due", what=said.what)
                    case news:
                        _hear_news(news, fds, deciding)
        except ConnectionError:
            pass
        finally:
            self._let_go()

    def _hear_leases(self, said: LeasesChanged | Released | Left) -> None:
        match said:
            case LeasesChanged():
                self.count(said.counts, said.turn)
            case Released():
                if lease := self._granted.pop(said.grant, None):
                    lease.release()
            case Left():
                if asked := self._asks.get(said.id):
                    asked.cancel()

    def _let_go(self) -> None:
        for task in self._asks.values():
            task.cancel()
        for lease in self._granted.values():
            lease.release()
        self._granted.clear()
        self._turns.clear()
        self.count_all({})

    def _refuse(self, said: Unknown) -> None:
        log.warning("message_not_understood", what=said.what, reason=said.why)
        if said.id is not None:
            why = NotFound("this version of llamactl does not know what it was asked")
            self.channel.send(_refusal(said.id, why))

    def _answer(self, number: int, work: Coroutine[Any, Any, Granted | AftermathKnown]) -> None:
        if number in self._asks:  # it was said before
            work.close()
            return

        async def answer() -> None:
            try:
                said: Granted | AftermathKnown | Refused = await work
            except LlamactlError as exc:
                said = _refusal(number, exc)
            except Exception as exc:  # who asked may not wait for ever
                log.failure("answer_failed", exc)
                said = _refusal(number, LlamactlError("internal error in llamactl; see its log"))
            self.channel.send(said)

        task = self._asks[number] = asyncio.create_task(answer())
        task.add_done_callback(lambda _: self._asks.pop(number))

    async def _grant(self, said: LeaseAsked, deciding: Deciding) -> Granted:
        caller, telling = _caller(said, deciding.keys), None
        ahead = deciding.activator.ahead(said.name, caller)
        if deciding.hear is not None:  # an earlier version would not understand it
            telling = asyncio.create_task(self._tell_ahead(said.name, caller, deciding.activator))
        try:
            lease = await deciding.activator.lease(said.name, caller)
        finally:
            if telling is not None:
                telling.cancel()
        grant, endpoint = next(self._grants), lease.endpoint
        self._granted[grant] = lease
        return Granted(
            id=said.id, grant=grant, name=endpoint.name, host=endpoint.host, port=endpoint.port,
            key=endpoint.key, generation=endpoint.generation, backend=endpoint.backend,
            ahead=ahead,
        )  # fmt: skip

    async def _tell_ahead(self, name: str, caller: Caller, activator: Activator) -> None:
        """Until cancelled, how many come before it."""
        from llamactl.link.control_news import Behind

        known = 0
        while True:
            if (ahead := activator.ahead(name, caller)) != known:
                self.channel.send(Behind(name=name, ahead=ahead))
                known = ahead
            await asyncio.sleep(_LOOK_S)


def _hear_news(news: NewsOfProxy, fds: Sequence[int], deciding: Deciding) -> None:
    if deciding.hear is None:
        close_all(fds)
        log.warning("message_not_due", what=news.what)
        return
    try:
        deciding.hear(news, fds)
    except Exception as exc:  # the link is needed for all else
        log.failure("message_failed", exc, what=news.what)


async def _aftermath(said: AftermathAsked, activator: Activator) -> AftermathKnown:
    end = await activator.aftermath(said.name, said.generation)
    return AftermathKnown(id=said.id, so=end.wanted, crashed=end.crashed, why=end.summary)


async def _accept(said: ClientGiven, fds: Sequence[int], accept: Accept) -> None:
    try:
        await accept(socket.socket(fileno=fds[0]), said.sent)
    except (IndexError, OSError, ValueError) as exc:  # one client, not the others
        log.warning("client_lost", reason=str(exc))


def _caller(said: LeaseAsked, keys: Keys) -> Caller:
    known = keys.get(said.key) if said.key else None
    caller = GUEST if said.key and not known else Caller(said.management, known)
    return replace(caller, address=said.address)


def _refusal(number: int, exc: LlamactlError) -> Refused:
    return Refused(
        id=number, error=exc.message, code=exc.code, status=exc.status,
        retry_after=exc.retry_after, details=exc.details, private=exc.private,
    )  # fmt: skip
