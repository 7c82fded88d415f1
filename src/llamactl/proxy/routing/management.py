"""Serves requests of the management API, an ASGI application, on a client's connection.

uvicorn's request cycle writes the answers; our connection does the rest, so that both paths
share one port, its limits and its time-outs.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from llamactl.core.errors import BodyTooLarge, LlamactlError
from llamactl.core.paths import PathGuard
from llamactl.observe import logger
from llamactl.policy.body.json_strings import ValueCounter
from llamactl.policy.body.model import SMALL
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.connections import WebSocketProtocol
from llamactl.proxy.http.heads import Headers
from llamactl.proxy.http.request import Request, error_answer
from llamactl.proxy.relay.accounts.accounting import RequestMetrics

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
AsgiApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ManagementApi:
    app: AsgiApp
    guard_of: Callable[[str], PathGuard]  # by path


log = logger("proxy")
_STUCK_S = 600.0  # without a byte taken by the client
_MOST_VALUES = 20_000  # in a body that is not small; parsing them takes milliseconds


class Asgi:
    """The ASGI applications for requests and for WebSockets, and what runs of them."""

    def __init__(self) -> None:
        self.http: Any = None  # uvicorn's types name each kind of message
        self.guard_of: Callable[[str], PathGuard | None] = lambda path: None  # not built yet
        self._early: list[Callable[[], None]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self._state = ServerState()

    def serve(self, http: AsgiApp, guard_of: Callable[[str], PathGuard]) -> None:
        """The management API, from now on."""
        self.http, self.guard_of = http, guard_of
        for go_on in self._early:
            go_on()
        self._early.clear()

    def when_built(self, go_on: Callable[[], None]) -> None:
        """Call it once there is a management API."""
        self._early.append(go_on)

    def serve_websockets(self, app: AsgiApp) -> None:
        self._config = uvicorn.Config(
            app,
            ws=_WebSocketProtocol,
            lifespan="off",
            log_config=None,
            server_header=False,
            proxy_headers=False,
            ws_per_message_deflate=False,  # a thousandth of what it becomes would be counted
        )
        self._config.load()

    def websocket(self, state: dict[str, Any]) -> WebSocketProtocol:
        """A protocol that takes a connection over; it is to be fed the request.

        `state`: for its application.
        """
        return _WebSocketProtocol(self._config, self._state, state)

    def close(self) -> None:
        """Close WebSockets; requests end by themselves."""
        for connection in list(self._state.connections):
            try:
                connection.shutdown()
            except Exception as exc:  # one that cannot say good-bye must not keep us here
                log.failure("websocket_not_closed", exc)
                connection.transport.abort()


class _WebSocketProtocol(WebSocketsSansIOProtocol):
    @property
    def waiting(self) -> int:
        return len(self.conn.reader.buffer)


class ManagementCall:
    """One request of the management API; a handler of its connection."""

    def __init__(
        self, asgi: Asgi, down: Downstream, request: Request, metrics: RequestMetrics, most: int
    ) -> None:
        """`most`: bytes of a body."""
        self._most = most
        self._app = asgi.http
        self._down = down
        self._metrics = metrics
        self._status = 0  # until its answer begins
        self._request = request
        self._flow = FlowControl(down.transport)
        self._size = 0
        self._values = ValueCounter()
        self._cycle = RequestResponseCycle(
            scope={
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.0" if request.head.http_1_0 else "1.1",
                "server": None,
                "client": down.peer,
                "scheme": "http",
                "root_path": "",
                "method": request.head.method.decode(),
                "path": request.head.path,
                "raw_path": request.head.raw_path,
                "query_string": request.head.query,
                "headers": _all_headers(request),
                "state": {"path_key": request.head.has_path_key},
            },
            transport=down.transport,
            flow=self._flow,
            logger=logging.getLogger("uvicorn.error"),
            access_logger=logging.getLogger("uvicorn.access"),
            access_log=False,
            default_headers=request.extra,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=request.head.keep_alive,
            on_response=self._answered,
        )
        task = asyncio.get_running_loop().create_task(
            self._cycle.run_asgi(cast(Any, self._noting_status))
        )
        asgi.tasks.add(task)
        task.add_done_callback(asgi.tasks.discard)

    async def _noting_status(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
            await send(message)

        await self._app(scope, receive, note)

    def begin(self) -> None:
        """Take in what of the body came with the head."""
        self._down.handler = self
        if self._request.body:
            self.body(self._request.body)
        if self._request.complete and self._down.handler is self:
            self.body_end()

    def _answered(self) -> None:
        self._flow.resume_reading()
        self._metrics.answered(self._request, self._status)
        keep = self._cycle.keep_alive and self._request.complete
        self._down.finished(keep=keep)

    def body(self, data: bytes) -> None:
        self._size += len(data)
        self._values.feed(data)
        try:
            if self._size > self._most:
                raise BodyTooLarge(f"the request body is larger than {self._most} bytes")
            if self._size > SMALL and self._values.count > _MOST_VALUES:
                raise BodyTooLarge(f"the request body has more than {_MOST_VALUES:,} JSON values")
            self._down.hold(len(data))
        except LlamactlError as error:
            self.fail(error)
            return
        self._cycle.body += data
        if len(self._cycle.body) > HIGH_WATER_LIMIT:
            self._flow.pause_reading()
        self._cycle.message_event.set()

    def body_end(self) -> None:
        self._cycle.more_body = False
        self._cycle.message_event.set()

    def fail(self, error: LlamactlError) -> None:
        self.gone()
        if self._status:
            self._down.cut()
        else:
            self._down.answer(error_answer(error, self._request))

    def gone(self) -> None:
        self._cycle.disconnected = True
        self._cycle.message_event.set()
        self._flow.resume_writing()

    def pause_writing(self) -> None:
        self._flow.pause_writing()
        self._down.deadline = asyncio.get_running_loop().time() + _STUCK_S

    def resume_writing(self) -> None:
        self._flow.resume_writing()
        self._down.deadline = math.inf

    def expired(self) -> None:
        self._down.cut()


def _all_headers(request: Request) -> Headers:
    head = request.head
    return (
        [*head.headers, (b"content-length", b"%d" % request.length)] if head.sized else head.headers
    )
