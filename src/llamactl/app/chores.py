"""What runs beside everything, for as long as this process is in charge."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from llamactl.app.wiring import Parts
from llamactl.backends import KINDS
from llamactl.control.lifecycle.replica import Replica
from llamactl.core.errors import EngineMissing
from llamactl.core.ports.engines import LogFile
from llamactl.node import Rotation, RotationRules, keep_reaping


class Chores:
    """Begun once the store is known, ended before another process takes over."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        rules = settings.derived(lambda now: RotationRules.of(now.instances.logging))
        self._parts = parts
        self._rotation = Rotation(settings.current.data, rules)
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Chores {len(self._tasks)}>"

    def begin(self) -> None:
        """Nothing, if they are under way."""
        if self._tasks:
            return
        parts, database = self._parts, self._parts.storage.database
        chores = [
            parts.credentials.keys.keep_flushing(),
            self._rotation.keep(self._written_logs, self._all_logs),
            database.keep_watch(),
            parts.watch.keep(),
            parts.scaling.keep(),
            parts.history.keep(),
            self._ask_slow_engines(),
        ]
        if (head := parts.node.head) is not None:
            chores.append(head.keep())
        if os.getpid() == 1:
            chores.append(keep_reaping())
        self._tasks = [asyncio.create_task(chore) for chore in chores]
        if database.taken.is_set():
            parts.files.downloads.go_on()

    async def end(self) -> None:
        await self._parts.files.downloads.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._parts.history.write()  # of the minute that is under way

    async def _ask_slow_engines(self) -> None:
        """For their options, so that no definition waits for that."""
        for kind in KINDS:
            if kind.questions.is_slow:
                with suppress(EngineMissing, OSError):
                    await self._parts.node.engines[kind.section].ask(kind.questions.help)

    def _written_logs(self) -> list[LogFile]:
        """Those that somebody writes to."""
        return [replica.log for replica in self._replicas() if replica.engine.process]

    def _all_logs(self) -> list[LogFile]:
        return [replica.log for replica in self._replicas()]

    def _replicas(self) -> list[Replica]:
        """Those here: another node tends its own."""
        found = [managed.replica for managed in self._parts.control.scheduling.registry]
        return [replica for replica in found if replica.context.is_local]
