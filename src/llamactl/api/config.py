"""/api/v1/config: reload by difference; the whole set of instances, out and in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from llamactl.api.errors import answers
from llamactl.api.instances import read_json
from llamactl.api.schemas import given_options
from llamactl.api.services import GUARDS, Mine
from llamactl.control.reload import ReloadPlan
from llamactl.core.errors import InvalidRequest
from llamactl.policy.reconcile import Changes

router = APIRouter(prefix="/api/v1/config", dependencies=GUARDS, tags=["config"])
DryRun = Annotated[bool, Query(description="say what would change, and change nothing")]


class ChangesBody(BaseModel):
    """Names of instances."""

    create: list[str]
    update: list[str]
    delete: list[str]
    unchanged: list[str]
    failed: dict[str, str] = Field(description="what could not be done, and why")


class ReloadBody(BaseModel):
    dry_run: bool
    settings: list[str] = Field(description="keys that change at once")
    needs_restart: list[str] = Field(description="keys that need a restart of llamactl")
    restart: list[str] = Field(description="instances whose command changes by the settings")
    instances: ChangesBody = Field(description="those that are declared in files")


class SetBody(BaseModel):
    instances: dict[str, dict[str, Any]] = Field(description="definitions, by name")


def _changes(changes: Changes, failed: dict[str, str]) -> ChangesBody:
    return ChangesBody(
        create=[*changes.create],
        update=[*changes.update],
        delete=[*changes.delete],
        unchanged=[*changes.unchanged],
        failed=failed,
    )


@router.post("/reload", responses=answers(415))
async def reload(mine: Mine, dry_run: DryRun = False) -> ReloadBody:
    """Read the settings and the declared instances again; only what changed restarts."""
    plan: ReloadPlan = await (mine.reload.plan() if dry_run else mine.reload.run())
    return ReloadBody(
        dry_run=dry_run,
        settings=[*plan.settings],
        needs_restart=[*plan.needs_restart],
        restart=[*plan.restart],
        instances=_changes(plan.instances, dict(plan.failed)),
    )


@router.get("/instances", responses=answers())
async def export(
    mine: Mine,
    secrets: Annotated[bool, Query(description="show secret values instead of masks")] = False,
) -> SetBody:
    """All definitions, as `PUT` takes them."""
    members = mine.instances.all()
    return SetBody(instances={m.instance.name: given_options(m, show=secrets) for m in members})


_SET = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": SetBody.model_json_schema()}},
    }
}


@router.put("/instances", responses=answers(409, 413, 415), openapi_extra=_SET)
async def apply(
    request: Request,
    mine: Mine,
    dry_run: DryRun = False,
    prune: Annotated[bool, Query(description="delete what is not in the set")] = False,
) -> ChangesBody:
    """Make the set so. All of it is checked first; doing it twice changes nothing."""
    body = await read_json(request)
    bodies = body.get("instances") if isinstance(body, dict) else None
    if not isinstance(bodies, dict):
        raise InvalidRequest('the body must be {"instances": {name: definition}}')
    changes = mine.reconciler.plan(mine.reconciler.read(bodies), "", prune=prune)
    failed = {} if dry_run else await mine.reconciler.apply(changes, "")
    return _changes(changes, failed)
