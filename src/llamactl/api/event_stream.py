"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from fastapi.responses import StreamingResponse

ALIVE: Final = ": alive\n\n"  # a comment, for those who wait for nothing in particular
ALIVE_S: Final = 15.0  # between two of them on a quiet stream


class EventStream(StreamingResponse):
    media_type = "text/event-stream"


def event_stream(lines: AsyncIterator[str]) -> EventStream:
    """No proxy is to keep any of it back."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return EventStream(lines, headers=headers)
