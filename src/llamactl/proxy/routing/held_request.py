"""A request that is held until its exchange with an instance can begin."""

from __future__ import annotations

import time

from llamactl.core.errors import LlamactlError
from llamactl.core.ports.request_log import LoggedRequest
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.request import Request, error_answer
from llamactl.proxy.relay.body import Body
from llamactl.proxy.relay.context import ProxyContext


class HeldRequest:
    """What becomes of its client meanwhile; `_over` once somebody else has the request."""

    def __init__(self, relay: ProxyContext, down: Downstream, request: Request, body: Body) -> None:
        """`body`: what of it is kept by now."""
        self._relay = relay
        self._down = down
        self._request = request
        self._body = body
        self._over = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._request} {self._body}>"

    def body(self, data: bytes) -> None:
        if self._over:
            return
        try:
            self._body.keep(data)
            self._body.wait()
            self._came(data)
        except LlamactlError as error:
            self.fail(error)

    def _came(self, data: bytes) -> None:
        """More of the body is kept. May raise LlamactlError."""

    def _check_caller(self) -> None:
        """Nobody's request reaches an engine whose key ended while the body came.

        Raises Unauthenticated.
        """
        self._relay.keys.check(self._request.caller, time.time())

    def logged(self) -> LoggedRequest:
        """As it is now, for the request log."""
        progress = ("reading", 0.0, 0, None, self._body.size, 0)
        return self._relay.metrics.running(self._request, None, progress)

    def fail(self, error: LlamactlError) -> None:
        self._end()
        self._relay.metrics.refused(self._request, error, None)
        self._down.answer(error_answer(error, self._request))

    def gone(self) -> None:
        self._end()
        self._relay.metrics.abandoned(self._request, None)

    def _end(self) -> None:
        self._over = True
        self._body.forget()

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def expired(self) -> None: ...
