"""Accepts clients beside other processes, so that each has about as many."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from llamactl.observe import logger
from llamactl.proxy_process.open_counts import OpenCounts

_LEAVE_S = 0.002  # how long a client is left to a process that has fewer
_FULL_S = 1.0  # after which one looks again whether there are descriptors
_EVEN = 16  # a process may be ahead by one for so many clients of all
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
log = logger("proxy")


class Acceptor:
    """All processes wait at one listening socket, and the kernel wakes all of them.

    Who has more clients than another leaves the next one to that, for a moment only: a process
    that is busy or stopped keeps nobody waiting.
    """

    def __init__(
        self, listener: socket.socket, counts: OpenCounts, slot: int,
        serve: Callable[[socket.socket], Coroutine[Any, Any, None]], connections: Callable[[], int],
    ) -> None:  # fmt: skip
        """`serve` an accepted client; `connections`: of all that are served."""
        listener.setblocking(False)
        self._listener = listener
        self._counts = counts
        self._slot = slot
        self._serve = serve
        self._connections = connections
        self._coming: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.noted(connections())
        self._loop.add_reader(listener.fileno(), self._come)

    def __repr__(self) -> str:
        return f"<Acceptor {self._slot} of {self._counts}>"

    def noted(self, connections: int) -> None:
        """So many are open."""
        if not self._is_closed:
            self._counts.set(self._slot, connections + len(self._coming))

    def close(self) -> None:
        """It may be called again, also when the socket is closed by then."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._counts.clear(self._slot)

    def _come(self) -> None:
        mine = self._connections() + len(self._coming)
        even = 1 + self._counts.total() // _EVEN
        if self._counts.ahead(self._slot, mine) >= even:
            self._wait(_LEAVE_S)
        else:
            self._accept()

    def _wait(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(seconds, self._again)

    def _again(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._come)
        self._accept()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another process was faster
            return
        except OSError as exc:
            if exc.errno not in _FULL:
                raise
            log.warning("no_client_accepted", reason=exc.strerror)
            if self._pause is None:
                self._wait(_FULL_S)
            return
        client.setblocking(False)
        task = self._loop.create_task(self._serve(client))
        self._coming.add(task)
        task.add_done_callback(self._arrived)
        self.noted(self._connections())

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._coming.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.warning("client_lost", reason=str(exc))
        self.noted(self._connections())
