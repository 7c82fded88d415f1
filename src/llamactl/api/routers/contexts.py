"""/api/v1/contexts: what is kept of conversations while their instances are stopped."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from llamactl.api.errors import answers
from llamactl.api.services import GUARDS, Services, ServicesDep
from llamactl.core.ports.contexts import StoredContext
from llamactl.observe import ContextMeter
from llamactl.schemas.contexts import ContextBody, RemovedContextsBody

router = APIRouter(prefix="/api/v1/contexts", dependencies=GUARDS, tags=["contexts"])
_ONE_OR_ALL = "name or alias of an instance; all if left out"
# an empty name is a mistake: for a removal, it must not mean all
Of = Annotated[str | None, Query(alias="instance", min_length=1, description=_ONE_OR_ALL)]


@router.get("", responses=answers(404))
async def list_contexts(services: ServicesDep, name: Of = None) -> list[ContextBody]:
    """List the kept contexts, by instance and slot, without what they say."""
    only = _id_of(services, name)
    names = {managed.instance.id: managed.instance.name for managed in services.instances.listed()}
    kept = [
        _body(one, names.get(one.instance_id, ""), services.contexts.meters.of(one.instance_id))
        for one in await services.contexts.all()
        if only in ("", one.instance_id)
    ]
    return sorted(kept, key=lambda one: (one.instance, one.instance_id, one.slot))


@router.delete("", responses=answers(404))
async def remove_contexts(services: ServicesDep, name: Of = None) -> RemovedContextsBody:
    """Remove the kept contexts of one instance, or all.

    What a running engine holds stays there, and is kept when the engine stops.
    """
    removed = await services.contexts.drop(_id_of(services, name))
    return RemovedContextsBody(removed=removed)


def _id_of(services: Services, name: str | None) -> str:
    """ "" for all. Raises InstanceNotFound."""
    return "" if name is None else services.instances.get(name).instance.id


def _body(one: StoredContext, name: str, uses: ContextMeter) -> ContextBody:
    return ContextBody(
        instance=name, instance_id=one.instance_id, slot=one.slot, tokens=one.tokens,
        size=one.size, saved_at=one.saved_at, used_at=one.used_at,
        reused_at=uses.used_at or None, spared_s=round(uses.seconds_spared, 3),
    )  # fmt: skip
