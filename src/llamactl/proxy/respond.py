"""Our own answers on the data path, in the one wire form of errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from llamactl.core.errors import LlamactlError, error_body, error_headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client left; nobody is there to be told anything."""


async def send_error(send: Send, error: LlamactlError, *, private: bool = False) -> None:
    headers = [(k.encode(), v.encode()) for k, v in error_headers(error).items()]
    await send_json(send, error.status, error_body(error, private=private), headers)


async def send_json(send: Send, status: int, value: object, headers: Headers = []) -> None:  # noqa: B006
    body = orjson.dumps(value)
    head = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
