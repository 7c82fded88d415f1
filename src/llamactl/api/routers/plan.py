"""What would happen, and why, without doing it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request

from llamactl.api.bodies import fit_fields, memory_body
from llamactl.api.errors import answers
from llamactl.api.openapi.document import UPDATE
from llamactl.api.parameters import Name
from llamactl.api.routers.instances import AllowUnknown, read_json
from llamactl.api.services import GUARDS, ServicesDep
from llamactl.schemas.instances import PlanBody, PreviewBody, VictimBody

router = APIRouter(prefix="/api/v1/instances", dependencies=GUARDS, tags=["instances"])


@router.post("/{name}/preview", responses=answers(409, 413, 415), openapi_extra=UPDATE)
async def preview(
    name: Name, request: Request, services: ServicesDep, allow_unknown: AllowUnknown = False
) -> PreviewBody:
    """Show what create or update would do with this body, without doing it."""
    body = await read_json(request)
    seen = await services.previews.of(name, body, allow_unknown=allow_unknown)
    return PreviewBody(
        exists=seen.exists, command=[*seen.command], problem=seen.problem,
        obstacle=seen.obstacle, restarts=seen.restarts,
        context_obstacle=seen.context_obstacle, sleep_obstacle=seen.sleep_obstacle,
        **fit_fields(seen.fit),
    )  # fmt: skip


@router.post("/{name}/plan", responses=answers(404))
async def plan(
    name: Name,
    services: ServicesDep,
    what: Annotated[
        Literal["request", "start"], Query(alias="for", description="who starts the instance")
    ] = "request",
    evict: Annotated[
        bool, Query(description="for a start: stop idle instances to make room")
    ] = False,
) -> PlanBody:
    """Show what a request for this instance or a manual start would do now, without doing it."""
    managed, seen = await services.instances.plan(name, request=what == "request", evict=evict)
    return PlanBody(
        action=seen.action,
        reason=seen.reason,
        evict=[
            VictimBody(
                name=victim.instance.name, leases=services.numbers.leases(victim.instance.id)
            )
            for victim in seen.victims
        ],
        ahead=seen.ahead,
        wait_s=None if seen.wait_s is None else round(seen.wait_s, 3),
        retry_after_s=None if seen.retry_after_s is None else round(seen.retry_after_s, 3),
        memory=memory_body(managed.need),
        context_obstacle=managed.replica.context_obstacle,
        sleep_obstacle=managed.replica.sleep_obstacle,
    )
