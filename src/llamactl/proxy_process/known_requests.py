"""Requests that were sent to engines, as messages have them."""

from __future__ import annotations

from base64 import b64decode, b64encode

from llamactl.core.ports.context_use import SentRequest
from llamactl.link.proxy_news import KnownRequest


def message_of(request: SentRequest) -> KnownRequest:
    body, answer = b64encode(b"".join(request.body)), b64encode(request.answer)
    return KnownRequest(at=request.at, body=body.decode(), answer=answer.decode())


def request_of(known: KnownRequest) -> SentRequest:
    body = [b64decode(known.body)] if known.body else []
    return SentRequest(known.at, body, b64decode(known.answer))
