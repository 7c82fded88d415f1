"""The endpoints of the management API, the page and other programs' APIs: who gets which."""

from __future__ import annotations

from collections.abc import Callable

from llamactl.core.errors import LlamactlError, NotFound
from llamactl.core.keys import GUEST, Caller
from llamactl.core.paths import PathGuard
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.heads import RequestHead
from llamactl.proxy.http.request import Request
from llamactl.proxy.relay.body import Body
from llamactl.proxy.routing.access import Access
from llamactl.proxy.routing.endpoints import Endpoint, EndpointContext, welcome_body
from llamactl.proxy.routing.held_request import HeldRequest
from llamactl.proxy.routing.management import ManagementCall

_SAFE = (b"GET", b"HEAD", b"OPTIONS")
_MOST_OF_STRANGERS = 8 << 10  # bytes of a body
_MOST_OF_MANAGEMENT = 1 << 20  # it is parsed at once
_MOST_OF_OTHERS = 16 << 20  # by other programs' APIs


class ManagementEndpoints:
    """One per entry."""

    def __init__(
        self,
        access: Access,
        context: EndpointContext,
        again: Callable[[Downstream, Request], None],
    ) -> None:
        """`again` decides who serves a request, once more."""
        self._access = access
        self._context = context
        self.open = ManagementEndpoint(context, _MOST_OF_STRANGERS)
        self.guarded = ManagementEndpoint(context, _MOST_OF_MANAGEMENT)
        self.early = EarlyEndpoint(context, again)
        self._others_open = ManagementEndpoint(context, _MOST_OF_STRANGERS)
        self._others = ManagementEndpoint(context, _MOST_OF_OTHERS)

    def choose(self, request: Request) -> tuple[Endpoint, Caller]:
        """Requests are refused before a body is read. The caller is GUEST if unknown."""
        head = request.head
        guard = self._context.asgi.guard_of(head.path)
        try:
            if guard is None:
                return self.early, GUEST
            if guard is PathGuard.NOTHING:
                raise NotFound(f"there is nothing at {head.path[:200]!r}")
            if guard is PathGuard.MANAGEMENT:
                return self.guarded, self._access.manager(head)
            if guard is PathGuard.OWN and head.method not in _SAFE:
                return self._others, self._guest(head)
        except LlamactlError:
            self._access.share(request)
            raise
        endpoint = self._others_open if guard is PathGuard.OWN else self.open
        return endpoint, self._access.visitor(head)

    def preflight(self) -> Endpoint:
        """What answers a browser that asks before it sends something."""
        return self.early if self._context.asgi.guard_of("") is None else self.open

    def knows(self, endpoint: Endpoint, caller: Caller) -> bool:
        """Is the caller of one of these no stranger?"""
        if endpoint is self.open:
            return caller.management
        return caller is not GUEST or endpoint is self._others

    def _guest(self, head: RequestHead) -> Caller:
        """Who changes something, or sends a body, by another program's API.

        Raises Unauthenticated.
        """
        access = self._access
        inference = head.path in self._context.paths.compat_paths
        required = access.inference_auth if inference else access.management_auth
        return access.user(head) if required else access.visitor(head)


class ManagementEndpoint:
    """Passes a request on to the management API, which also serves the page and other APIs."""

    def __init__(self, context: EndpointContext, most: int) -> None:
        """`most`: bytes of a body."""
        self._context = context
        self._most = most

    def open(self, down: Downstream, request: Request) -> None:
        request.in_turns = True
        welcome_body(down, request, self._most)
        context = self._context
        ManagementCall(context.asgi, down, request, context.relay.metrics, self._most).begin()


class EarlyEndpoint:
    """For requests that come before the management API is built, a moment after the start.

    Their clients are not read from until then. Then it is decided who serves them.
    """

    def __init__(
        self, context: EndpointContext, again: Callable[[Downstream, Request], None]
    ) -> None:
        self._context = context
        self._again = again

    def open(self, down: Downstream, request: Request) -> None:
        down.pause_reading()
        relay = self._context.relay
        body = Body(relay.spool, 0, down)
        down.handler = waiting = _EarlyRequest(relay, down, request, body)

        def go_on() -> None:
            if down.handler is waiting:
                down.handler = None
                down.resume_reading()
                self._again(down, request)

        self._context.asgi.when_built(go_on)


class _EarlyRequest(HeldRequest):
    """Its client is not read from."""

    def body(self, data: bytes) -> None:
        self._request.body += data  # what was already read

    def body_end(self) -> None: ...
