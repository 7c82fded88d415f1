"""The request log: what runs and what ended last, of all processes that relay."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import merge

from llamactl.core.errors import NotFound
from llamactl.core.ports.request_log import STRANGERS, LoggedRequest, RequestSource, is_stranger


@dataclass(frozen=True, slots=True)
class LogEntry:
    number: int  # higher than of all that came before; 0: it still runs
    request: LoggedRequest


class RequestLog:
    """In memory, so each process that decides begins with an empty one.

    What strangers ask for, and reaches no instance, drops only its own.
    """

    def __init__(self, source: RequestSource, size: int) -> None:
        """`size`: how many that have ended are kept."""
        self._source = source
        self._ended: deque[LogEntry] = deque(maxlen=size)
        self._strangers: deque[LogEntry] = deque(maxlen=size // STRANGERS)
        self.newest = 0  # number

    def __repr__(self) -> str:
        return f"<RequestLog of {len(self._ended)}, {len(self._strangers)} of strangers>"

    async def running(self) -> Sequence[LoggedRequest]:
        """Those under way, the oldest first. What has ended until now is in `after`."""
        ended: list[LoggedRequest] = []
        while True:
            now = await self._source.requests()
            ended += now.ended
            if not now.more:
                break
        self.add(ended)
        return sorted(now.running, key=lambda one: one.at)

    def add(self, requests: Iterable[LoggedRequest]) -> None:
        for request in sorted(requests, key=lambda one: one.at + one.duration_s):
            self.newest += 1
            stranger = is_stranger(request.sender, request.instance)
            kept = self._strangers if stranger else self._ended
            kept.append(LogEntry(self.newest, request))

    def after(self, number: int) -> list[LogEntry]:
        """Those with higher numbers, in the order of these."""
        entries = merge(self._ended, self._strangers, key=lambda entry: entry.number)
        return [entry for entry in entries if entry.number > number]

    async def cancel(self, request_id: str) -> int:
        """End the requests with this id; how many. Raises NotFound."""
        count = await self._source.cancel(request_id)
        if not count:
            raise NotFound(
                f"no request {request_id[:80]!r} is under way; `llamactl requests` lists those "
                "that are"
            )
        return count
