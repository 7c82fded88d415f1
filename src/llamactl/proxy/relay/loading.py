"""A stream that begins before its engine does: comments while the instance loads.

Some clients give up when not a byte comes for long. A comment is a line that begins with a colon
(https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from llamactl.core.errors import MalformedBody
from llamactl.core.lease import Lease
from llamactl.policy.body.json_names import Names
from llamactl.policy.body.json_scanner import ObjectScanner
from llamactl.proxy.http.heads import ResponseHead
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.response import Response
from llamactl.proxy.http.turns import slices
from llamactl.proxy.relay.body import Body
from llamactl.proxy.relay.leases import Granting, abandon
from llamactl.proxy.relay.rewriting.rewritten import NamedStream

_MOST = 1 << 20  # bytes of a body that is looked into
_STREAMS = (
    "/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses",
    "/chat/completions", "/completions",
)  # fmt: skip
_STREAM = Names(["stream"])
_HEAD = ResponseHead(
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\r\n"
)


async def wants_stream(request: Request, body: Body, turn: Callable[[], Awaitable[None]]) -> bool:
    """Does the client expect events, so that a comment before them does no harm?"""
    small = request.complete and not body.on_disk and body.size <= _MOST
    if not small or request.head.http_1_0 or request.served_path not in _STREAMS:
        return False
    scanner = ObjectScanner(_STREAM, most=0)
    parts = (part for chunk in [*body.chunks] for part in slices(chunk))
    try:
        for part in parts:
            await turn()
            scanner.feed(part)
    except MalformedBody:
        return False
    return [member.raw for member in scanner.members] == [b"true"]


async def commenting(
    granting: Granting, every: float,
    wants: Callable[[], Awaitable[bool]], tell: Callable[[], None],
) -> Lease[Any]:  # fmt: skip
    """Wait for the lease; every so many seconds, `tell` a client that `wants` to hear of it."""
    job, asked = asyncio.ensure_future(granting()), False
    try:
        while not (await asyncio.wait([job], timeout=every))[0]:
            if not asked and not await wants():
                return await job
            asked = True
            if not job.done():
                tell()
        return job.result()
    except BaseException:
        abandon(job)
        raise


def begun_answer(request: Request, extra: bytes, *, now: float, keep: bool) -> Response:
    """An event stream whose head is ours; the engine's events follow in it."""
    return NamedStream(request, _HEAD, extra, now=now, keep=keep)


def may_follow(head: ResponseHead) -> bool:
    """Can the engine's response continue in an event stream that has begun?"""
    return head.status == _HEAD.status and head.event_stream and not head.encoded


def comment(ahead: int) -> bytes:
    return b": loading, %d ahead\n\n" % ahead
