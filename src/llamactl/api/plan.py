"""What would be done, and why, without doing it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from llamactl.api.errors import answers
from llamactl.api.schemas import MemoryBody, memory_body
from llamactl.api.services import GUARDS, Mine

router = APIRouter(prefix="/api/v1/instances", dependencies=GUARDS, tags=["instances"])


class VictimBody(BaseModel):
    name: str
    leases: int = Field(description="requests that it may finish first")


class PlanBody(BaseModel):
    action: Literal["serve", "start", "evict", "wait", "refuse"]
    reason: str
    evict: list[VictimBody]
    ahead: int = Field(description="instances that get their place first")
    wait_s: float | None = Field(description="about how long until it is ready; null: unknown")
    retry_after_s: float | None = Field(description="when a request may try again")
    memory: MemoryBody


@router.post("/{name}/plan", responses=answers(404))
async def plan(
    name: str,
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
