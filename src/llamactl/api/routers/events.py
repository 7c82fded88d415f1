"""The events of one instance or of all, listed or streamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from llamactl.api.errors import answers
from llamactl.api.event_stream import ALIVE, ALIVE_S, event_stream
from llamactl.api.parameters import Limit, Name
from llamactl.api.services import GUARDS, ServicesDep
from llamactl.core.errors import InvalidRequest
from llamactl.core.events import InstanceEvent
from llamactl.schemas.events import EventBody

router = APIRouter(prefix="/api/v1", dependencies=GUARDS, tags=["events"])


def event_body(event: InstanceEvent) -> EventBody:
    return EventBody(
        id=event.id,
        at=event.at,
        instance=event.name,
        event=event.event,
        from_state=event.from_state,
        to_state=event.to_state,
        generation=event.generation,
        cause=event.cause,
        details=dict(event.details),
    )


@router.get("/instances/{name}/events", responses=answers(404))
async def list_events(
    name: Name,
    services: ServicesDep,
    limit: Limit = 100,
    before: Annotated[
        int | None, Query(ge=0, le=1 << 62, description="only events with smaller IDs")
    ] = None,
) -> list[EventBody]:
    """List the newest events, oldest first. Use the ID of the first to get earlier ones."""
    return [event_body(event) for event in await services.instances.events(name, limit, before)]


@router.get("/activity", responses=answers())
async def list_activity(
    services: ServicesDep,
    limit: Limit = 100,
    before: Annotated[
        int | None, Query(ge=0, le=1 << 62, description="only events with smaller IDs")
    ] = None,
) -> list[EventBody]:
    """List the newest events of all instances, including deleted ones, oldest first."""
    return [event_body(event) for event in await services.event_log.of(None, limit, before)]


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **answers()},
)
async def follow_events(
    services: ServicesDep,
    last_event_id: Annotated[
        str | None,
        Header(description="ID of the last event received; the stream continues after it"),
    ] = None,
) -> StreamingResponse:
    """Stream new events of all instances, or those after `Last-Event-ID`, as server-sent events.

    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    after = None if last_event_id is None else event_id(last_event_id)
    await services.event_log.newest()  # a store that is away is said before the stream begins
    return event_stream(_lines(services.event_log.follow(after)))


def event_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):  # noqa: PLR2004  2**63 has 19
        raise InvalidRequest(f"Last-Event-ID {text[:40]!r} is not an event ID")
    return int(text)


async def _lines(events: AsyncIterator[InstanceEvent]) -> AsyncIterator[str]:
    yield ": following\n\n"
    async with aclosing(_with_signs_of_life(events)) as rows:
        async for event in rows:
            if event is None:
                yield ALIVE
            else:
                yield f"id: {event.id}\ndata: {event_body(event).model_dump_json()}\n\n"


async def _with_signs_of_life(
    events: AsyncIterator[InstanceEvent],
) -> AsyncGenerator[InstanceEvent | None]:
    """None where nothing happened for a while, so that a client that left is noticed."""
    coming: asyncio.Task[InstanceEvent | None] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events, None))
            done, _ = await asyncio.wait([coming], timeout=ALIVE_S)
            if not done:
                yield None
                continue
            event, coming = coming.result(), None
            if event is None:
                return
            yield event
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
