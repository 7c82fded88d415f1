"""Reload by difference: read the settings and the declared instances again, change what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llamactl.config import (
    Loaded,
    SettingsChange,
    SettingsHolder,
    compare,
    read_declarations,
    sources_after,
)
from llamactl.control.instances import Instances
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.reconciler import FILES, Reconciler
from llamactl.control.upkeep.replica_sets import together
from llamactl.control.upkeep.stale import running, stale
from llamactl.core.errors import InvalidConfig, InvalidRequest, LlamactlError, StoreUnavailable
from llamactl.observe import logger
from llamactl.policy.definition.reconcile import Changes

log = logger("control")


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    settings: tuple[str, ...]  # keys that change at once
    needs_restart: tuple[str, ...]  # keys that change when llamactl is started again
    restart: tuple[str, ...]  # instances whose command is another now
    instances: Changes
    failed: Mapping[str, str] = field(default_factory=dict)  # why, by instance


class Reload:
    """One at a time. Nothing is changed unless all that was read is valid."""

    def __init__(
        self,
        settings: SettingsHolder,
        reread: Callable[[], Loaded],
        instances: Instances,
        reconciler: Reconciler,
    ) -> None:
        """`reread` raises InvalidConfig."""
        self._settings = settings
        self._reread = reread
        self._instances = instances
        self._reconciler = reconciler
        self._one_at_a_time = asyncio.Lock()
        self._declared = asyncio.Event()
        self.waits_for_store = False

    async def plan(self) -> ReloadPlan:
        """What `run` would do. Raises InvalidConfig."""
        _, change, changes = await self._read()
        return self._planned(change, changes)

    async def run(self) -> ReloadPlan:
        """Waits for the end of a start. Raises InvalidConfig, StoreUnavailable; nothing changed."""
        if self.waits_for_store:
            raise StoreUnavailable("cannot reload while the store is unavailable; retry later")
        await self._declared.wait()
        async with self._one_at_a_time:
            new, change, changes = await self._read()
            plan = self._planned(change, changes)
            sources = sources_after(self._settings.sources, new.sources, change.fixed)
            self._settings.replace(change.settings, sources)
            failed = await self._reconciler.apply(changes, FILES)
            due = [m for m in self._instances.all() if m.instance.name in plan.restart]
            for replicas in together(due):
                try:
                    await self._restart(replicas)
                except LlamactlError as exc:
                    failed[replicas[0].instance.name] = exc.message
            log.info("reloaded", settings=" ".join(plan.settings), restart=" ".join(plan.restart))
            return ReloadPlan(
                plan.settings, plan.needs_restart, plan.restart, plan.instances, failed
            )

    async def _restart(self, replicas: Sequence[ManagedInstance]) -> None:
        """Of one instance, one after the other.

        Unless a change of its own has done so, or it was deleted by one.
        """
        left = stale(running(replicas), self._settings.current)
        due = [one for one in replicas if one.instance.name in left and not one.deleted]
        if due:
            await self._instances.replicas.roll(due, self._restart_one)

    async def _restart_one(self, managed: ManagedInstance) -> None:
        await self._instances.restart_stale(managed, "settings changed")

    async def _read(self) -> tuple[Loaded, SettingsChange, Changes]:
        new = await asyncio.to_thread(self._reread)
        change = compare(self._settings.current, new.settings)
        return new, change, await self.declared(change.settings.declarations)

    async def declared(self, folder: Path | None) -> Changes:
        """What the files of the folder ask for. Raises InvalidConfig."""
        if folder is None:
            return Changes()
        bodies = await asyncio.to_thread(
            read_declarations, folder, may_be_away=not self._reconciler.has(FILES)
        )
        try:
            wanted = await self._reconciler.read(bodies, FILES)
        except InvalidRequest as exc:
            raise InvalidConfig(f"instances.configs_dir {folder}: {exc.message}") from exc
        return self._reconciler.plan(wanted, FILES, prune=True)

    async def check(self) -> None:
        """Before anything is taken in. Raises InvalidConfig for declarations that are none."""
        await self.declared(self._settings.current.declarations)

    async def declare(self) -> None:
        """Bring the declared instances about, when llamactl has started."""
        try:
            changes = await self.declared(self._settings.current.declarations)
        except InvalidConfig as exc:  # they were right a moment ago
            log.warning("not_declared", reason=exc.message)
        else:
            await self._reconciler.apply(changes, FILES)
        self._declared.set()

    def _planned(self, change: SettingsChange, changes: Changes) -> ReloadPlan:
        restart = stale(running(self._instances.all()), change.settings)
        return ReloadPlan(change.live, change.fixed, restart, changes)
