"""The life of a node's process: belong to a cluster, run engines for it, leave them running."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack

from llamactl import __version__
from llamactl.app.machine import MachineEngines, MachineModels
from llamactl.cluster.calls.service import NodeService
from llamactl.cluster.calls.socket_line import answering
from llamactl.cluster.certificates import Files
from llamactl.cluster.folder import ClusterFolder, Place
from llamactl.cluster.membership import LocalMember, MachineFacts
from llamactl.cluster.ray.keeper import RayKeeper
from llamactl.config import Loaded, SettingsHolder
from llamactl.core.errors import LlamactlError
from llamactl.node import (
    DataDir,
    NodeAgent,
    Rotation,
    RotationRules,
    gpu_ids,
    keep_reaping,
    total_ram,
    totals,
)
from llamactl.node.gate import Gate
from llamactl.observe import logger
from llamactl.observe.first_of import first_of

log = logger("node")


class NodeApplication:
    """`run` is all of it."""

    def __init__(
        self, loaded: Loaded, environ: Mapping[str, str], soft_files: int | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """`soft_files`: the soft limit of open files for engines.

        `labels`: of this node, beside those in the settings, which they override.
        """
        self.labels = {**loaded.settings.local_node_labels, **(labels or {})}
        self._held = SettingsHolder(loaded.settings, loaded.sources)
        self._environ = environ
        self._soft_files = soft_files
        self._data_dir = DataDir(loaded.settings)
        self._folder = ClusterFolder(loaded.settings.data)
        self._files = Files(self._folder.path)

    async def run(self, place: Place, over: Awaitable[object]) -> None:
        """Until `over` is; engines keep running. Raises DataDirUnusable or LlamactlError.

        At its end, first nobody asks it, then nobody reaches its engines, then Ray ends: so the
        head knows before a request fails.
        """
        self._data_dir.open()
        async with AsyncExitStack() as ends:
            ends.callback(self._data_dir.close)
            try:
                self._folder.certify(place)
                machine = self._folder.machine(place)
                gate = Gate(place.address, self._files.server())
            except (OSError, ValueError) as exc:
                raise self._unusable(exc) from exc
            ray = asyncio.create_task(RayKeeper(machine, self._environ).keep())
            ends.push_async_callback(_cancel, ray)
            ends.push_async_callback(gate.close_all)
            agent = self._agent(place, gate)
            ends.push_async_callback(agent.close)
            service = NodeService(agent, LocalMember(_facts(self.labels)))
            ends.push_async_callback(service.close)
            try:
                await ends.enter_async_context(answering(self._folder.socket, service.answer))
            except OSError as exc:
                raise self._unusable(exc) from exc
            await agent.sweep()
            log.info("node_serves", node=place.node, address=place.address)
            chores = [self._keep_rotating(agent), asyncio.shield(ray)]
            if os.getpid() == 1:
                chores.append(keep_reaping())
            await first_of((over, *chores))

    def _unusable(self, exc: Exception) -> LlamactlError:
        return LlamactlError(f"cannot use {self._folder.path}: {exc}")

    async def _keep_rotating(self, agent: NodeAgent) -> None:
        settings = self._held.current
        rotation = Rotation(settings.data, lambda: RotationRules.of(settings.instances.logging))
        await rotation.keep(lambda: agent.written_logs, lambda: agent.written_logs)

    def _agent(self, place: Place, gate: Gate) -> NodeAgent:
        settings = self._held.current
        models = MachineEngines.of(self._held).access(MachineModels.of(self._held, self._environ))
        return NodeAgent(
            settings.data, settings.logs, self._environ, models, self._soft_files, gate, place.node
        )


def _facts(labels: Mapping[str, str]) -> MachineFacts:
    return MachineFacts(__version__, total_ram(), totals(), labels, gpu_ids())


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
