"""An engine's own page: served without an origin, so that nothing in it can act as the user.

https://www.w3.org/TR/CSP3/#directive-sandbox. Such a page calls the engine as a stranger does
("Origin: null"), so the ticket in its path is what lets it.
"""

from __future__ import annotations

import re

from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.heads import STATUS_LINES, Headers
from llamactl.proxy.http.request import Request
from llamactl.proxy.relay.context import ProxyContext

PAGE = re.compile(rb"/(page)/([A-Za-z0-9_-]{43})(/.*)?\Z", re.DOTALL)
DOCUMENTS = (b"document", b"iframe", b"frame", b"object", b"embed")  # Sec-Fetch-Dest
SANDBOX: Headers = [
    (
        b"content-security-policy",
        b"sandbox allow-scripts allow-forms allow-downloads allow-modals allow-popups",
    ),
    (b"referrer-policy", b"no-referrer"),
]
OPEN: Headers = [*SANDBOX, (b"access-control-allow-origin", b"*")]


def is_preflight(request: Request) -> bool:
    head = request.head
    return head.method == b"OPTIONS" and b"access-control-request-method" in head.fields


class PreflightEndpoint:
    """Lets an engine's page send JSON: https://fetch.spec.whatwg.org/#cors-preflight-fetch"""

    def __init__(self, relay: ProxyContext) -> None:
        self._relay = relay

    def open(self, down: Downstream, request: Request) -> None:
        asked = request.head.fields.get(b"access-control-request-headers", b"*")
        allowed: Headers = [
            (b"access-control-allow-origin", b"*"),
            (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
            (b"access-control-allow-headers", asked),
            (b"access-control-max-age", b"600"),
            *request.extra,
        ]
        lines = [b"%b: %b\r\n" % header for header in allowed]
        down.answer([b"".join([STATUS_LINES[204], *lines]), b""])
        self._relay.metrics.answered(request, 204)
