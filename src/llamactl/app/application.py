"""The life of llamactl: start, or take over; serve; be replaced, or stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from llamactl.app.chores import Chores
from llamactl.app.management import build_management
from llamactl.app.wiring import wire
from llamactl.config import Loaded
from llamactl.control.lifecycle import recovery
from llamactl.control.lifecycle.arrival import Arrival
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.core.errors import InvalidConfig, LlamactlError
from llamactl.hot_restart import HandoverState, Predecessor, Upgrade
from llamactl.link import Channel
from llamactl.observe import logger

log = logger("app")


class Application:
    """`start`, let `parts.processes` listen, then `manage`; or `take_over`. `stop` afterwards."""

    def __init__(
        self,
        loaded: Loaded,
        environ: Mapping[str, str],
        reread: Callable[[], Loaded],
        soft_files: int | None = None,
        *,
        takes_over: bool = False,
        examine: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    ) -> None:
        """`reread`: the settings as they are now, from where these came; or InvalidConfig.

        `examine`: the doctor.
        """
        parts = self.parts = wire(loaded, environ, reread, soft_files, takes_over=takes_over)
        self._began = time.time()
        self._examine = examine
        self._chores = Chores(parts)
        self._asked: list[asyncio.Task[None]] = []
        self._predecessor_gone: asyncio.Event | None = None
        self.upgrade = Upgrade(
            parts.control.shutdown, parts.storage.database, parts.leases, parts.proxy,
            parts.control.activator, parts.credentials.rights, self._chores,
        )  # fmt: skip

    async def start(self) -> None:
        """Open the store and take in what it knows; starts what was wanted on.

        Where it can't be written, what runs is taken in and served, and the rest is done when it
        can be. Raises StoreUnusable.
        """
        parts = self.parts
        await parts.control.reload.check()
        await parts.processes.adopt()
        self._arrival = Arrival(
            parts.storage.database, parts.credentials.ring, parts.control.scheduling.registry,
            parts.control.reload, self._first_look, self._boot,
        )  # fmt: skip
        await self._arrival.come()
        self._chores.begin()

    async def manage(self) -> None:
        """Serve the management API, too. Building it takes long, so requests don't wait for it."""
        parts = self.parts
        management = await asyncio.to_thread(
            build_management, parts, self.upgrade_now, self._began, self._examine
        )
        parts.proxy.manage(management)

    async def take_over(self, inherited: HandoverState) -> None:
        """Serve, taking over from a running process that continues relaying.

        Raises UpgradeFailed or StoreUnavailable if that process has to continue. If it dies on the
        way, this is a start like any other.
        """
        parts, credentials = self.parts, self.parts.credentials
        database = parts.storage.database
        inherited.check(parts.data_dir.lock_file, parts.settings.current.database_url)
        predecessor = Predecessor(Channel(inherited.channel), parts.leases, credentials.rights)
        await parts.control.reload.check()
        await database.open(shared=True)
        await self.manage()  # it takes long, and the other one is still in charge
        lives = await predecessor.is_at_rest()
        await database.take()
        await credentials.revocations.load()
        known = await self._read()
        lives = lives and await predecessor.lets_go()  # nothing after this may fail
        parts.data_dir.own(inherited.lock)
        await credentials.revocations.load()  # those that came while it was still in charge
        with suppress(InvalidConfig):
            parts.node.reread()
        await credentials.rights.take(predecessor.rights)
        await parts.processes.adopt()
        all_managed = await self._take_in(known, handed_over=lives)
        await recovery.until_known(all_managed)  # what is still streamed is drained, not just ended
        self._predecessor_gone = predecessor.gone
        serving = predecessor.serve(parts.control.activator, credentials.ring, parts.processes.give)
        self._asked.append(asyncio.create_task(serving))
        # who came since then waits in its queue, or is served by the processes of the other one
        await parts.processes.listen(inherited.listener)
        predecessor.listens()
        await self._settle(all_managed)
        if not lives:
            parts.control.preload.begin()

    async def _first_look(self) -> list[ManagedInstance]:
        await self.parts.credentials.revocations.load()
        return await self._take_in(await self._read())

    async def _read(self) -> recovery.Known:
        parts = self.parts
        await parts.control.scheduling.memories.measured.load()
        await parts.credentials.keys.load()
        await parts.credentials.sessions.load()
        await parts.files.downloads.jobs.load()
        return await recovery.read(parts.storage.instances)

    async def _take_in(
        self, known: recovery.Known, *, handed_over: bool = False
    ) -> list[ManagedInstance]:
        parts = self.parts
        return await recovery.take_in(
            known, parts.control.instances, parts.storage.instances, parts.node.nodes,
            handed_over=handed_over,
        )  # fmt: skip

    async def _boot(self, all_managed: list[ManagedInstance]) -> None:
        await self._settle(all_managed)
        self.parts.control.preload.begin()

    async def _settle(self, all_managed: list[ManagedInstance]) -> None:
        parts, control = self.parts, self.parts.control
        control.lost_nodes.begin()
        await parts.credentials.revocations.write_pending()
        await control.reload.declare()
        self._chores.begin()
        parts.node.nodes.local.contexts.look()
        parts.files.downloads.go_on()
        await parts.node.agent.sweep()
        await control.defined.complete()
        scheduler, settings = control.scheduling.scheduler, parts.settings.current
        replicas = control.instances.replicas
        await recovery.settle(scheduler, control.instances.filter, all_managed, settings, replicas)
        replicas.resume()
        control.drains.clear(parts.node.nodes.local)

    async def upgrade_now(self) -> int:
        """Have a process of the installed version take over; its pid. Raises UpgradeFailed."""
        parts = self.parts
        store = parts.settings.current.database_url
        return await self.upgrade.run(parts.environ, parts.data_dir.lock, store)

    async def relay_to_the_end(self) -> None:
        """Once replaced."""
        self.parts.data_dir.close()  # or nobody could start if the new one died
        await self.parts.node.agent.close()  # what runs is another's to watch, and to remove
        seconds = self.parts.settings.current.server.upgrade_timeout
        await self.upgrade.relay_to_the_end(seconds, self._predecessor_gone)

    def soon(self, work: Callable[[], Coroutine[object, object, object]]) -> None:
        """Handle a signal; the log records the result."""

        async def attempt() -> None:
            try:
                await work()
            except LlamactlError as exc:
                log.warning("signal_not_heeded", reason=exc.message)

        self._asked = [task for task in self._asked if not task.done()]
        self._asked.append(asyncio.create_task(attempt()))

    async def stop(self, *, keep: bool = False) -> None:
        """Drain and stop all instances, or keep them, then let go of everything."""
        parts, credentials = self.parts, self.parts.credentials
        shutdown = parts.control.shutdown
        self.upgrade.refuse()
        parts.proxy.relay.abandoned.close()
        await (shutdown.leave() if keep else shutdown.halt())
        await self._chores.end()
        await parts.control.lost_nodes.close()
        if parts.node.head is not None:
            await parts.node.head.close()
        await parts.node.agent.close()
        await credentials.keys.flush()
        await credentials.revocations.close()
        await credentials.sessions.close()
        drain_s = parts.settings.current.instances.drain_timeout
        limit = drain_s if keep else None
        await asyncio.gather(parts.proxy.close(limit), parts.processes.close(limit))
        await parts.history.write()  # what was answered until the end
        await parts.storage.database.close()
        parts.data_dir.close()

    def cut(self) -> None:
        """End all connections at once."""
        self.parts.processes.cut()
        self.parts.proxy.cut()

    def kill(self) -> None:
        """End every engine at once."""
        for managed in self.parts.control.instances.all():
            managed.replica.engine.kill()
