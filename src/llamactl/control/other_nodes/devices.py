"""Devices are taken out of service, and into it again: what runs on them stays."""

from __future__ import annotations

from collections.abc import Callable, Set

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.shielded import ShieldedTasks
from llamactl.control.upkeep.wanted import WantedStarts


class DevicesInService:
    """Unlike a drain, which ends what runs there: an engine may use several devices."""

    def __init__(
        self, wanted: WantedStarts, tasks: ShieldedTasks, keep: Callable[[Set[str]], None]
    ) -> None:
        """`keep`: remembers the entries of the `DeviceBook`. Raises OSError."""
        self._wanted = wanted
        self._tasks = tasks
        self._keep = keep

    def __repr__(self) -> str:
        return "<DevicesInService>"

    def disable(self, one: ReplicaContext, device: str) -> None:
        """No start uses it from now on. Raises DeviceNotFound, or OSError with nothing changed."""
        entry = one.devices.entry(one.node.id, device)
        self._keep(one.devices.out | {entry})
        one.devices.out.add(entry)
        self._tasks.begin(self._wanted.look_again())

    def enable(self, one: ReplicaContext, device: str) -> None:
        """As `disable`."""
        entry = one.devices.entry(one.node.id, device)
        self._keep(one.devices.out - {entry})
        one.devices.out.discard(entry)
        self._tasks.begin(self._take_in(one))

    async def _take_in(self, one: ReplicaContext) -> None:
        await self._wanted.look_again()
        self._wanted.start_all(one)
