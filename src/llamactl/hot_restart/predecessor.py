"""The old process, as the new one sees it: it is at rest, lets go, and relays what it has begun."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

from llamactl.core.ports.activator import Activator
from llamactl.link import Channel, ControlEnd
from llamactl.link.control_end import Accept, Deciding, Keys, LeaseCounts
from llamactl.link.messages import (
    VERSION,
    Go,
    Listening,
    Prepared,
    Right,
    RightChanged,
    Serving,
    Yours,
)
from llamactl.observe import logger

log = logger("takeover")


class RightsTaker(Protocol):
    async def take(self, entries: Sequence[Right]) -> None: ...

    def follow(self, tell: Callable[[Right], None]) -> None: ...


class Predecessor:
    def __init__(
        self, channel: Channel, leases: LeaseCounts, rights: RightsTaker | None = None
    ) -> None:
        self._channel = channel
        self._link = ControlEnd(channel, leases)
        self._rights = rights
        self._taking: set[asyncio.Task[None]] = set()
        self.rights: Sequence[Right] = ()  # that only its memory had
        self.gone = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Predecessor over {self._link}>"

    async def is_at_rest(self) -> bool:
        """Say that all is prepared; wait until it decides nothing more. False if it is gone."""
        return await self._say(Prepared(version=VERSION))

    async def lets_go(self) -> bool:
        """Say that we serve; from its word on we act. False if it is gone."""
        return await self._say(Serving())

    def listens(self) -> None:
        """Tell it that it is no longer needed, except for what it relays."""
        self._channel.send(Listening())

    async def _say(self, step: Prepared | Serving) -> bool:
        self._channel.send(step)
        with contextlib.suppress(ConnectionError):
            while True:
                said, _ = await self._link.receive()
                match said:
                    case Yours() | Go():
                        self._link.count_all(said.leases)
                        self.rights = said.rights if isinstance(said, Go) else ()
                        return True
                    case other:
                        log.warning("message_not_due", what=other.what)
        return False

    async def serve(self, activator: Activator, keys: Keys, accept: Accept) -> None:
        """As `ControlEnd.serve`, until it is gone."""
        if self._rights is not None:
            self._rights.follow(lambda right: self._channel.send(RightChanged(right=right)))
        try:
            await self._link.serve(Deciding(activator, keys, accept, self._take))
        finally:
            self.gone.set()
            log.info("predecessor_gone")

    def _take(self, right: Right) -> None:
        if self._rights is not None:
            task = asyncio.ensure_future(self._rights.take([right]))
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)
