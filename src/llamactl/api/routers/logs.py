"""The log of an instance's engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from llamactl.api.errors import answers
from llamactl.api.parameters import Name
from llamactl.api.services import GUARDS, ServicesDep
from llamactl.core.errors import InvalidRequest

router = APIRouter(prefix="/api/v1/instances", dependencies=GUARDS, tags=["instances"])
_FARTHEST = 1 << 62


class LogQuery(BaseModel):
    lines: str = Field("-1", description="number of recent lines; -1 for all")
    follow: bool = Field(False, description="keep streaming new lines")
    since: str = Field("", description="Unix seconds or ISO 8601; accurate to about a second")
    search: str = Field("", description="only lines with this text", max_length=1000)
    before: int | None = Field(None, ge=0, le=_FARTHEST, description="an offset")
    after: int | None = Field(None, ge=0, le=_FARTHEST, description="an offset")


@router.get(
    "/{name}/logs",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {}}}, **answers(404)},
)
async def get_logs(
    name: Name, services: ServicesDep, asked: Annotated[LogQuery, Query()]
) -> StreamingResponse:
    """Get the engine's log, with a line for each start.

    The response header `X-Log-Start` is the offset of the first byte; use it to get earlier lines.

    Offsets always count from the first byte ever logged, even if it was rotated away.
    """
    replica, most, text = (
        services.instances.get(name).replica,
        _line_count(asked.lines),
        asked.search,
    )
    log, reach = replica.log, replica.context.reach
    since = _time(asked.since)
    span = log.span(None if text else most, since=since, before=asked.before)
    start, end = await reach.while_up(span)
    start = max(start, asked.after or 0)
    chunks: AsyncIterator[bytes] = (
        log.follow(start, search=text, lines=most)
        if asked.follow
        else log.stream(start, end, search=text, lines=most)
    )
    headers = {
        "x-accel-buffering": "no",
        "x-content-type-options": "nosniff",
        "x-log-start": str(start),
    }
    return StreamingResponse(chunks, media_type="text/plain; charset=utf-8", headers=headers)


def _line_count(text: str) -> int | None:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count == -1:
        return None
    if not 1 <= count <= 2**53:
        raise InvalidRequest(f"lines={text[:40]!r}: use -1 for all lines, or a positive number")
    return count


def _time(text: str) -> float:
    """Unix seconds; 0.0 for none."""
    if not text:
        return 0.0
    try:
        seconds = text.replace(".", "", 1).isdigit()
        at = float(text) if seconds else datetime.fromisoformat(text).timestamp()
    except ValueError as exc:
        raise InvalidRequest(
            f"since={text[:40]!r}: use Unix seconds, or a time like 2026-01-31T12:00:00Z"
        ) from exc
    return at
