"""/api/v1/nodes: the machines that run instances."""

from __future__ import annotations

from fastapi import APIRouter

from llamactl.api.errors import answers
from llamactl.api.services import GUARDS, ServicesDep
from llamactl.schemas.nodes import NodeBody

router = APIRouter(prefix="/api/v1/nodes", dependencies=GUARDS, tags=["nodes"])


@router.get("", responses=answers())
async def list_nodes(services: ServicesDep) -> list[NodeBody]:
    """List the server's own machine, and those that joined it."""
    there: dict[str, list[str]] = {}
    for managed in services.instances.listed():
        there.setdefault(managed.replica.context.node.id, []).append(managed.instance.name)
    return [
        NodeBody(
            name=one.name, state=one.state, address=one.address, version=one.version, ram=one.ram,
            gpus=dict(one.gpus), instances=there.get(one.id, []),
        )
        for one in services.nodes()
    ]  # fmt: skip
