"""Those who decide for a proxy process, one after another; each comes over a link of its own."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

from llamactl.core.errors import ShuttingDown
from llamactl.link import Channel, ProxyEnd
from llamactl.link.channel import close_all
from llamactl.link.control_news import Adopted, ListenerAsked, NewsOfControl
from llamactl.link.messages import ClientGiven, Message, RevokedRight, Right
from llamactl.link.proxy_news import ListenerGiven
from llamactl.observe import logger

_MOST_WAITING = 1000  # messages to one that takes none
log = logger("proxy")


class Controls:
    """The one that came last counts; what others say changes nothing."""

    def __init__(
        self, meeting: socket.socket, listener: socket.socket,
        on_adopted: Callable[[ProxyEnd | None], None],
        on_news: Callable[[NewsOfControl], None],
        on_client: Callable[[ClientGiven, int], None],
        on_revoked: Callable[[RevokedRight], None],
    ) -> None:  # fmt: skip
        """`on_adopted`: by this one; None: nobody decides. `on_client`: with its descriptor."""
        self._meeting = meeting
        self._listener = listener
        self._on_adopted = on_adopted
        self._on_news = on_news
        self._on_client = on_client
        self._on_revoked = on_revoked
        self._end: ProxyEnd | None = None
        self._watches: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Controls, now {self._end}>"

    def listen(self) -> None:
        self._meeting.setblocking(False)
        asyncio.get_running_loop().add_reader(self._meeting.fileno(), self._meet)

    @property
    def now(self) -> ProxyEnd:
        """Raises ShuttingDown if nobody decides."""
        if self._end is None:
            error = ShuttingDown("llamactl is starting again, and serves only models until then")
            error.retry_after = 1.0
            raise error
        return self._end

    def check(self) -> None:
        """Raises ShuttingDown if no client can be given to it."""
        if self.now.channel.waiting > _MOST_WAITING:
            raise ShuttingDown("llamactl is busy with other requests; retry later")

    def is_there(self) -> bool:
        return self._end is not None

    def tell(self, message: Message) -> None:
        """Nothing, if nobody decides: who comes next gets to know all."""
        if self._end is not None:
            self._end.channel.send(message)

    async def all_told(self) -> None:
        if self._end is not None:
            await self._end.channel.sent()

    def _meet(self) -> None:
        try:
            come, _ = self._meeting.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        end = ProxyEnd(Channel(come))
        end.on_news = lambda news, fds: self._hear(end, news, fds)
        end.on_right = lambda right: self._hear_right(end, right)
        watch = asyncio.create_task(self._until_gone(end))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def _until_gone(self, end: ProxyEnd) -> None:
        while await end.steps.get() is not None:
            pass
        end.channel.close()
        if self._end is end:
            log.warning("control_gone")
            self._end = None
            self._on_adopted(None)

    def _hear(self, end: ProxyEnd, news: NewsOfControl | ClientGiven, fds: Sequence[int]) -> None:
        if isinstance(news, ListenerAsked):
            self._give_listener(end)
        elif isinstance(news, Adopted):
            before, self._end = self._end, end
            self._on_adopted(end)
            if before is not None:
                before.channel.close()
        elif end is not self._end:
            close_all(fds)
        elif not isinstance(news, ClientGiven):
            self._on_news(news)
        elif fds:
            self._on_client(news, fds[0])

    def _give_listener(self, end: ProxyEnd) -> None:
        if self._listener.fileno() >= 0:
            end.channel.send(ListenerGiven(), [os.dup(self._listener.fileno())])
        else:  # others accept by now
            end.channel.close()

    def _hear_right(self, end: ProxyEnd, right: Right) -> None:
        if end is self._end and isinstance(right, RevokedRight):
            self._on_revoked(right)
