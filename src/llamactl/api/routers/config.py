"""/api/v1/config: reload of changed settings; export and import of all instances."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from llamactl.api.bodies import given_options
from llamactl.api.errors import answers
from llamactl.api.openapi.document import SET
from llamactl.api.routers.instances import AllowUnknown, read_json
from llamactl.api.services import GUARDS, ServicesDep
from llamactl.config import in_force
from llamactl.control.reload import ReloadPlan
from llamactl.core.errors import InvalidRequest
from llamactl.core.instance import replica_of
from llamactl.policy.definition.reconcile import Changes
from llamactl.schemas.config import ChangesBody, ReloadBody, SetBody, SettingBody

router = APIRouter(prefix="/api/v1/config", dependencies=GUARDS, tags=["config"])
DryRun = Annotated[bool, Query(description="show what would change without changing it")]


def _changes(changes: Changes, failed: dict[str, str]) -> ChangesBody:
    return ChangesBody(
        create=[*changes.create],
        update=[*changes.update],
        delete=[*changes.delete],
        unchanged=[*changes.unchanged],
        failed=failed,
    )


@router.post("/reload", responses=answers(415))
async def reload(services: ServicesDep, dry_run: DryRun = False) -> ReloadBody:
    """Reload the settings and the declared instances. Only changed instances restart."""
    plan: ReloadPlan = await (services.reload.plan() if dry_run else services.reload.run())
    return ReloadBody(
        dry_run=dry_run,
        settings=[*plan.settings],
        needs_restart=[*plan.needs_restart],
        restart=[*plan.restart],
        instances=_changes(plan.instances, dict(plan.failed)),
    )


@router.get("/instances", responses=answers())
async def export(
    services: ServicesDep,
    secrets: Annotated[bool, Query(description="show secret values instead of masks")] = False,
) -> SetBody:
    """Get all definitions, in the format that `PUT` accepts."""
    defined = [m for m in services.instances.listed() if not replica_of(m.instance.name)]
    return SetBody(instances={m.instance.name: given_options(m, show=secrets) for m in defined})


@router.get("/settings", responses=answers())
async def settings(services: ServicesDep) -> list[SettingBody]:
    """List the effective settings and their sources."""
    found = in_force(services.about.settings.current, services.about.settings.sources)
    return [
        SettingBody(
            key=one.key, value=one.value, source=one.source, section=one.field.section,
            description=one.field.description, unit=one.field.unit,
            live=one.field.applies == "live",
        )
        for one in found
    ]  # fmt: skip


@router.put("/instances", responses=answers(409, 413, 415), openapi_extra=SET)
async def apply(
    request: Request,
    services: ServicesDep,
    dry_run: DryRun = False,
    prune: Annotated[bool, Query(description="delete instances that are not in the set")] = False,
    allow_unknown: AllowUnknown = False,
) -> ChangesBody:
    """Create and update instances to match the set. Everything is checked first.

    The call is idempotent.
    """
    body = await read_json(request)
    bodies = body.get("instances") if isinstance(body, dict) else None
    if not isinstance(bodies, dict):
        raise InvalidRequest('the body must be {"instances": {name: definition}}')
    wanted = await services.reconciler.read(bodies, "", allow_unknown=allow_unknown)
    changes = services.reconciler.plan(wanted, "", prune=prune)
    failed = {} if dry_run else await services.reconciler.apply(changes, "")
    return _changes(changes, failed)
