"""/api/v1/instances: create, look, change, run, read the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from llamactl.api.errors import answers
from llamactl.api.schemas import InstanceBody, instance_body
from llamactl.api.services import GUARDS, Mine, Services
from llamactl.control.registry import Member
from llamactl.core.errors import BodyTooLarge, InvalidRequest, MalformedBody

router = APIRouter(prefix="/api/v1/instances", dependencies=GUARDS, tags=["instances"])
_MOST = 4 << 20  # bytes of a definition
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {"model": "/models/llama-2-7b.gguf", "ctx_size": 4096},
            }
        },
    }
}
Wait = Annotated[bool, Query(description="answer when it is done, not at once")]
Evict = Annotated[bool, Query(description="stop idle instances to make room")]
Force = Annotated[bool, Query(description="cut requests that are being answered")]


def _body(mine: Services, member: Member) -> InstanceBody:
    return instance_body(member, mine.numbers.leases(member.instance.id))


async def read_json(request: Request) -> Any:
    """The body as JSON. Raises MalformedBody or BodyTooLarge."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST:
            raise BodyTooLarge(f"the request body is larger than {_MOST >> 20} MiB")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise MalformedBody(f"the request body is not valid JSON: {exc}") from exc


@router.get("", responses=answers())
async def list_instances(mine: Mine) -> list[InstanceBody]:
    return [_body(mine, member) for member in mine.instances.all()]


@router.get("/{name}", responses=answers(404))
async def get_instance(name: str, mine: Mine) -> InstanceBody:
    return _body(mine, mine.instances.get(name))


@router.post("/{name}", status_code=201, responses=answers(409, 413, 415, 500), openapi_extra=_BODY)
async def create_instance(
    name: str,
    request: Request,
    mine: Mine,
    start: bool = True,
    wait: Wait = True,
    evict: Evict = False,
) -> InstanceBody:
    body = await read_json(request)
    member = await mine.instances.create(name, body, start=start, wait=wait, evict=evict)
    return _body(mine, member)


@router.put("/{name}", responses=answers(404, 409, 413, 415, 500), openapi_extra=_BODY)
async def update_instance(
    name: str, request: Request, mine: Mine, wait: Wait = True
) -> InstanceBody:
    body = await read_json(request)
    return _body(mine, await mine.instances.update(name, body, wait=wait))


@router.delete("/{name}", status_code=204, responses=answers(404))
async def delete_instance(name: str, mine: Mine, force: Force = False) -> Response:
    await mine.instances.delete(name, force=force)
    return Response(status_code=204)


@router.post("/{name}/start", responses=answers(404, 409, 415, 500))
async def start_instance(
    name: str, mine: Mine, wait: Wait = False, evict: Evict = False
) -> InstanceBody:
    return _body(mine, await mine.instances.start(name, wait=wait, evict=evict))


@router.post("/{name}/stop", responses=answers(404, 415))
async def stop_instance(
    name: str, mine: Mine, wait: Wait = False, force: Force = False
) -> InstanceBody:
    return _body(mine, await mine.instances.stop(name, wait=wait, force=force))


@router.post("/{name}/restart", responses=answers(404, 409, 415, 500))
async def restart_instance(
    name: str, mine: Mine, wait: Wait = False, evict: Evict = False, force: Force = False
) -> InstanceBody:
    member = await mine.instances.restart(name, wait=wait, evict=evict, force=force)
    body = _body(mine, member)
    # a restart of something at rest is a start; the reference calls the answer "restarting"
    return (
        body
        if wait or body.status != "starting"
        else body.model_copy(update={"status": "restarting"})
    )


@router.get(
    "/{name}/logs",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {}}}, **answers(404)},
)
async def get_logs(
    name: str,
    mine: Mine,
    lines: Annotated[str, Query(description="how many of the last lines; -1 for all")] = "-1",
    follow: Annotated[bool, Query(description="keep streaming what is added")] = False,
    since: Annotated[str, Query(description="Unix seconds, or ISO 8601; to a second or so")] = "",
    search: Annotated[str, Query(description="only lines with this text", max_length=1000)] = "",
) -> StreamingResponse:
    log = mine.instances.get(name).unit.log
    read = log.follow if follow else log.stream
    chunks: AsyncIterator[bytes] = read(_line_count(lines), since=_time(since), search=search)
    headers = {"x-accel-buffering": "no", "x-content-type-options": "nosniff"}
    return StreamingResponse(chunks, media_type="text/plain; charset=utf-8", headers=headers)


def _line_count(text: str) -> int | None:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count == -1:
        return None
    if not 1 <= count <= 2**53:
        raise InvalidRequest(f"lines={text[:40]!r}: give -1 for all lines, or a number from 1 on")
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
            f"since={text[:40]!r}: give Unix seconds, or a time like 2026-01-31T12:00:00Z"
        ) from exc
    return at
