"""Builds the management API: a third of a start's time, so it is done beside the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from llamactl.app.engine_now import engine_now, installed_now
from llamactl.app.machine import engine_settings
from llamactl.app.nodes_now import NodesNow
from llamactl.app.wiring import Parts
from llamactl.control.engine_numbers import engine_numbers
from llamactl.control.preview import Previews
from llamactl.control.records.request_log import RequestLog
from llamactl.proxy import ManagementApi

if TYPE_CHECKING:
    from llamactl.api import ServerInfo, Services


def build_management(
    parts: Parts,
    upgrade: Callable[[], Awaitable[int]],
    began: float,
    examine: Callable[[], Sequence[Mapping[str, Any]]],
) -> ManagementApi:
    """May run in a thread. FastAPI, and all schemas, are imported here."""
    from llamactl.api import ServerInfo, build_api, guards
    from llamactl.compat.llama_swap import llama_swap_router
    from llamactl.compat.ollama.router import ollama_router

    settings = parts.settings.current
    compat_routers = (ollama_router(settings), llama_swap_router(settings))
    info = ServerInfo(
        began, lambda: engine_now(parts.settings)[0],
        lambda kind: engine_settings(parts.settings, kind).command,
        partial(installed_now, parts.settings, parts.node.engines), parts.settings, examine,
    )  # fmt: skip
    api = build_api(_services(parts, upgrade, info), compat_routers)
    return ManagementApi(api, guards(api, compat_routers))


def _services(parts: Parts, upgrade: Callable[[], Awaitable[int]], info: ServerInfo) -> Services:
    from llamactl.api import MetricsSources, Services

    held, control, files, access = parts.settings, parts.control, parts.files, parts.credentials
    scheduling = control.scheduling
    numbers = MetricsSources(
        parts.proxy.meters, engine_numbers,
        parts.leases.count, partial(_gauges, parts), parts.processes.count,
    )  # fmt: skip
    previews = Previews(scheduling.registry, scheduling.limits, parts.node.nodes, scheduling.memory)
    return Services(
        held.current, control.instances, control.definitions, access.keys, access.ring,
        parts.node.engines, parts.storage.event_log, numbers, parts.degraded, control.reload,
        control.reconciler, upgrade, files.here.catalog, files.downloads, access.sessions,
        access.tickets, previews, parts.watch, files.hub, files.here.confinement, info,
        parts.node.nodes.local.contexts, NodesNow(parts),
        RequestLog(parts.processes.requests, held.current.log.recent_requests), parts.history,
    )  # fmt: skip


def _gauges(parts: Parts) -> dict[str, float]:
    return {
        "client_connections": parts.processes.connections,
        "requests_waiting_for_a_start": parts.control.on_demand.waiting,
        "api_keys": len(parts.credentials.ring),
        "tasks": len(asyncio.all_tasks()),
    }
