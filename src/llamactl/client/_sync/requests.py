"""The request log."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import suppress

from llamactl.client._sync.transport import Transport
from llamactl.client.calls import API, Call
from llamactl.client.errors import ServerUnreachable
from llamactl.schemas.requests import CancelledBody, RequestBody, RequestLogBody

_AGAIN_S = 1.0
_MOST = 2000


class Requests:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, after: int = 0, limit: int = 200, instance: str | None = None,
        key: str | None = None, failed: bool = False, min_duration: float = 0.0,
    ) -> RequestLogBody:  # fmt: skip
        """Those that run, and the last ones that have ended.

        `after`: only those with higher numbers. `min_duration`: seconds.
        """
        parameters = {
            "after": after, "limit": limit, "instance": instance, "key": key, "failed": failed,
            "min_duration": min_duration,
        }  # fmt: skip
        call = Call("GET", f"{API}/requests", parameters)
        return self._transport.read(RequestLogBody, call)

    def follow(
        self, *, after: int, instance: str | None = None, key: str | None = None,
        failed: bool = False,
    ) -> Generator[RequestBody, None, None]:  # fmt: skip
        """Those that end from now on, for ever, also of a server that was started again.

        `after`: the number of the last that is known.
        """
        while True:
            log = RequestLogBody(running=[], ended=[], newest=after)
            with suppress(ServerUnreachable):
                log = self.list(after=after, limit=_MOST, instance=instance, key=key, failed=failed)
            for request in log.ended:
                yield request
            restarted = log.newest < after
            after = 0 if restarted else log.newest
            if not restarted:
                time.sleep(_AGAIN_S)

    def cancel(self, request_id: str) -> int:
        """End those with this ID; how many there were."""
        call = Call("DELETE", f"{API}/requests", {"id": request_id})
        return (self._transport.read(CancelledBody, call)).cancelled
