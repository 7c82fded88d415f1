"""/api/v1/instances: create, look, change, run; and what that would do."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response

from llamactl.api.bodies import fit_fields, instance_body, memory_body
from llamactl.api.errors import answers
from llamactl.api.openapi.document import CREATE, UPDATE
from llamactl.api.parameters import Name
from llamactl.api.services import GUARDS, Services, ServicesDep
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.core.errors import BodyTooLarge, MalformedBody
from llamactl.policy.access.page_tickets import IDLE_S
from llamactl.schemas.instances import InstanceBody, PlanBody, PreviewBody, VictimBody
from llamactl.schemas.session import PageBody

router = APIRouter(prefix="/api/v1/instances", dependencies=GUARDS, tags=["instances"])
_MOST = 4 << 20  # bytes of a definition
Wait = Annotated[bool, Query(description="wait until it is done before responding")]
Evict = Annotated[bool, Query(description="stop idle instances to make room")]
AllowUnknown = Annotated[bool, Query(description="pass unknown options to the engine as they are")]
Force = Annotated[bool, Query(description="abort running requests")]


def _body(services: Services, managed: ManagedInstance) -> InstanceBody:
    return instance_body(managed, services.numbers.leases(managed.instance.id))


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
async def list_instances(services: ServicesDep) -> list[InstanceBody]:
    """List all instances, by name."""
    return [_body(services, managed) for managed in services.instances.listed()]


@router.get("/{name}", responses=answers(404))
async def get_instance(name: Name, services: ServicesDep) -> InstanceBody:
    """Get an instance in its current state."""
    return _body(services, services.instances.get(name))


@router.post(
    "/{name}", status_code=201, responses=answers(409, 413, 415, 500), openapi_extra=CREATE
)
async def create_instance(
    name: Name,
    request: Request,
    services: ServicesDep,
    start: Annotated[bool, Query(description="also start it")] = True,
    wait: Wait = True,
    evict: Evict = False,
    allow_unknown: AllowUnknown = False,
) -> InstanceBody:
    """Create an instance and start it. If the start fails, the instance is kept.

    In the flat form, all other fields are engine options. With `backend_type` or
    `backend_options`, engine options belong in `backend_options`, and unknown fields are rejected.
    Options that the installed engine does not have are rejected, too.
    """
    body = await read_json(request)
    managed = await services.definitions.create(
        name, body, start=start, wait=wait, evict=evict, allow_unknown=allow_unknown
    )
    return _body(services, managed)


@router.put("/{name}", responses=answers(404, 409, 413, 415, 500), openapi_extra=UPDATE)
async def update_instance(
    name: Name,
    request: Request,
    services: ServicesDep,
    wait: Wait = True,
    allow_unknown: AllowUnknown = False,
) -> InstanceBody:
    """Merge the body into the definition. null removes a field; a mask keeps the stored value.

    If the command of a running instance changes, it finishes its requests and restarts.
    """
    body = await read_json(request)
    managed = await services.definitions.update(name, body, wait=wait, allow_unknown=allow_unknown)
    return _body(services, managed)


@router.delete("/{name}", status_code=204, responses=answers(404))
async def delete_instance(name: Name, services: ServicesDep, force: Force = False) -> Response:
    """Stop an instance after finishing its requests, and delete it. Model files are kept."""
    await services.definitions.delete(name, force=force)
    return Response(status_code=204)


@router.post("/{name}/start", responses=answers(404, 409, 415, 500))
async def start_instance(
    name: Name, services: ServicesDep, wait: Wait = False, evict: Evict = False
) -> InstanceBody:
    """Start an instance. Has no effect if it is running."""
    return _body(services, await services.instances.start(name, wait=wait, evict=evict))


@router.post("/{name}/stop", responses=answers(404, 415))
async def stop_instance(
    name: Name, services: ServicesDep, wait: Wait = False, force: Force = False
) -> InstanceBody:
    """Stop an instance after finishing its running requests."""
    return _body(services, await services.instances.stop(name, wait=wait, force=force))


@router.post("/{name}/restart", responses=answers(404, 409, 415, 500))
async def restart_instance(
    name: Name,
    services: ServicesDep,
    wait: Wait = False,
    evict: Evict = False,
    force: Force = False,
) -> InstanceBody:
    """Restart an instance, or start it if it is not running."""
    managed = await services.instances.restart(name, wait=wait, evict=evict, force=force)
    body = _body(services, managed)
    # a restart of something at rest is a start; the reference calls the answer "restarting"
    return (
        body
        if wait or body.status != "starting"
        else body.model_copy(update={"status": "restarting"})
    )


@router.post("/{name}/page", responses=answers(404, 415))
async def open_page(name: Name, request: Request, services: ServicesDep) -> PageBody:
    """A temporary path to the engine's own page; anyone who has it can use it."""
    instance = services.instances.get(name).instance
    holder = request.state.caller
    ticket = services.tickets.issue(instance.id, instance.name, holder, time.monotonic())
    return PageBody(path=f"page/{ticket}/", idle_s=IDLE_S)


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
        node=seen.node,
        nodes=dict(seen.nodes),
        ahead=seen.ahead,
        wait_s=None if seen.wait_s is None else round(seen.wait_s, 3),
        retry_after_s=None if seen.retry_after_s is None else round(seen.retry_after_s, 3),
        memory=memory_body(managed),
        context_obstacle=managed.replica.context.context_obstacle(managed.instance),
        sleep_obstacle=managed.replica.context.sleep_obstacle(managed.instance),
    )
