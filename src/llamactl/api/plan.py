"""What would be done, and why, without doing it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request

from llamactl.api.bodies import fit_fields, memory_body
from llamactl.api.document import UPDATE
from llamactl.api.errors import answers
from llamactl.api.instances import read_json
from llamactl.api.parameters import Name
from llamactl.api.services import GUARDS, Mine
from llamactl.wire.instances import PlanBody, PreviewBody, VictimBody

router = APIRouter(prefix="/api/v1/instances", dependencies=GUARDS, tags=["instances"])


@router.post("/{name}/preview", responses=answers(409, 413, 415), openapi_extra=UPDATE)
async def preview(name: Name, request: Request, mine: Mine) -> PreviewBody:
    """What create, or update, with this body would give. Nothing is done."""
    seen = await mine.previews.of(name, await read_json(request))
    return PreviewBody(
        exists=seen.exists, command=[*seen.command], problem=seen.problem,
        restarts=seen.restarts, **fit_fields(seen.fit),
    )  # fmt: skip


@router.post("/{name}/plan", responses=answers(404))
async def plan(
    name: Name,
    mine: Mine,
    what: Annotated[
        Literal["request", "start"], Query(alias="for", description="who would start it")
    ] = "request",
    evict: Annotated[bool, Query(description="of a start: stop idle instances")] = False,
) -> PlanBody:
    """What a request for this instance, or a start by hand, would do now. Nothing is done."""
    member, seen = await mine.instances.plan(name, request=what == "request", evict=evict)
    return PlanBody(
        action=seen.action,
        reason=seen.reason,
        evict=[
            VictimBody(name=victim.instance.name, leases=mine.numbers.leases(victim.instance.id))
            for victim in seen.victims
        ],
        ahead=seen.ahead,
        wait_s=None if seen.wait_s is None else round(seen.wait_s, 3),
        retry_after_s=None if seen.retry_after_s is None else round(seen.retry_after_s, 3),
        memory=memory_body(member.need),
    )
