"""/api/v1/nodes: the machines that run instances."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from llamactl.api.errors import answers
from llamactl.api.services import GUARDS, ServicesDep
from llamactl.schemas.nodes import NodeBody

Name = Annotated[str, Path(description="name of the node")]
Wait = Annotated[bool, Query(description="wait until its instances have left before responding")]
Device = Annotated[str, Path(description="name of one of its GPUs, or its UUID")]
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
            gpus=dict(one.gpus), instances=there.get(one.id, []), drained=one.drained,
            labels=dict(one.labels), out_of_service=[*one.out_of_service],
        )
        for one in services.nodes.all()
    ]  # fmt: skip


@router.delete("/{name}", status_code=204, responses=answers(404, 409))
async def remove_node(name: Name, services: ServicesDep) -> None:
    """Give up a machine that is away: its instances count as ended, and can run again.

    What still runs there is ended if the machine comes back.
    """
    await services.nodes.remove(name)


@router.post("/{name}/drain", status_code=204, responses=answers(404))
async def drain_node(name: Name, services: ServicesDep, *, wait: Wait = False) -> None:
    """Take a machine out of service: nothing starts there, and its instances move.

    Those that may run nowhere else stop. Each finishes its requests first.
    """
    await services.nodes.drain(name, wait=wait)


@router.post("/{name}/resume", status_code=204, responses=answers(404))
async def resume_node(name: Name, services: ServicesDep) -> None:
    """Put a drained machine back into service."""
    services.nodes.resume(name)


@router.post("/{name}/devices/{device}/disable", status_code=204, responses=answers(404))
async def disable_device(name: Name, device: Device, services: ServicesDep) -> None:
    """Take a GPU out of service: no start uses it, and what runs on it stays."""
    services.nodes.disable_device(name, device)


@router.post("/{name}/devices/{device}/enable", status_code=204, responses=answers(404))
async def enable_device(name: Name, device: Device, services: ServicesDep) -> None:
    """Put a GPU back into service."""
    services.nodes.enable_device(name, device)
