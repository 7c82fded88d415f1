"""/api/v1/requests: what runs, and the last requests that have ended."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from llamactl.api.errors import answers
from llamactl.api.services import GUARDS, Services, ServicesDep
from llamactl.core.errors import InstanceNotFound
from llamactl.core.instance import name_key, replica_of
from llamactl.core.ports.request_log import LoggedRequest
from llamactl.schemas.requests import CancelledBody, RequestBody, RequestLogBody

router = APIRouter(prefix="/api/v1/requests", dependencies=GUARDS, tags=["requests"])
_FAILED = 400  # and above
_FIELDS = RequestBody.model_fields.keys() - {"number"}


@router.get("", responses=answers())
async def list_requests(
    services: ServicesDep,
    after: Annotated[int, Query(ge=0, description="only those with higher numbers")] = 0,
    limit: Annotated[
        int, Query(ge=1, le=2000, description="maximum number of ended requests: the newest")
    ] = 200,
    instance: Annotated[str | None, Query(description="name or alias of an instance")] = None,
    key: Annotated[
        str | None, Query(description="name or ID of an inference key; or a sender")
    ] = None,
    failed: Annotated[
        bool, Query(description="only those that were refused, failed or broke off")
    ] = False,
    min_duration: Annotated[
        float, Query(ge=0, description="only those that took at least so many seconds")
    ] = 0.0,
) -> RequestLogBody:
    """List the requests that run, and the last ones that have ended; never their content."""
    name = None if instance is None else _named(services, instance)

    def matches(one: LoggedRequest) -> bool:
        return (
            (name is None or name_key(replica_of(one.instance) or one.instance) == name_key(name))
            and (key is None or key in (one.key, one.key_id, one.sender))
            and (not failed or not one.complete or (one.status or 0) >= _FAILED)
            and one.duration_s >= min_duration
        )

    running = [_body(0, one) for one in await services.requests.running() if matches(one)]
    entries = [entry for entry in services.requests.after(after) if matches(entry.request)]
    ended = [_body(entry.number, entry.request) for entry in entries[-limit:]]
    return RequestLogBody(running=running, ended=ended, newest=services.requests.newest)


@router.delete("", responses=answers(404))
async def cancel_requests(
    services: ServicesDep,
    request_id: Annotated[str, Query(alias="id", min_length=1, description="their `X-Request-Id`")],
) -> CancelledBody:
    """Cancel the requests with this ID that run.

    A client whose answer has not begun gets 403 with the code `cancelled`; others see that theirs
    is incomplete.
    """
    return CancelledBody(cancelled=await services.requests.cancel(request_id))


def _named(services: Services, name: str) -> str:
    """One that was deleted may be asked for, too."""
    try:
        return services.instances.get(name).instance.name
    except InstanceNotFound:
        return name


def _body(number: int, one: LoggedRequest) -> RequestBody:
    return RequestBody(number=number, **{name: getattr(one, name) for name in _FIELDS})
