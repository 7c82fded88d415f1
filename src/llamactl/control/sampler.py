"""Samples of the machine and of how fast it answers, for those who look on."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from llamactl.control.blocking_call import BlockingCall
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.core.lifecycle import WITHOUT_PROCESS
from llamactl.observe import Meters, Rates
from llamactl.policy.scheduling.capacity import Limits, Taken
from llamactl.policy.scheduling.claims import Candidate

_EVERY_S = 2.0
_DISK_S = 1.0  # the longest wait for the disk
_KEPT = 300  # samples of the machine: ten minutes
_ALL = 1 << 62


@dataclass(frozen=True, slots=True)
class MachineSample:
    """Bytes; None where they are unknown."""

    at: float  # Unix seconds
    ram_total: int | None
    ram_free: int | None
    disk_free: int | None
    ram_taken: int = 0
    ram_budget: int | None = None
    gpus_taken: Mapping[str, int] = field(default_factory=dict)
    gpus_budget: Mapping[str, int] = field(default_factory=dict)
    leases: int = 0
    running: int = 0
    next_out: Mapping[str, str] = field(default_factory=dict)  # ids of who leaves first, by device


class Watch:
    """One per application. Viewers read `rates` and `machine`."""

    def __init__(
        self,
        registry: Registry,
        limits: Callable[[], Limits],
        meters: Callable[[], Meters],
        leases: Callable[[], int],
        ram: Callable[[], tuple[int | None, int | None]],
        disk_free: Callable[[], int | None],
        next_out: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`ram`: total and free bytes. `disk_free` may block, so it never runs in the loop.

        `next_out`: ids of who leaves first if room has to be made, by device.
        """
        self._registry = registry
        self._limits = limits
        self._meters = meters
        self._leases = leases
        self._ram = ram
        self._disk_free = BlockingCall(disk_free)
        self._next_out = next_out
        self.rates = Rates()
        self.machine: deque[MachineSample] = deque(maxlen=_KEPT)

    def __repr__(self) -> str:
        return f"<Watch {len(self.machine)} samples>"

    async def keep(self) -> None:
        """Sample until cancelled."""
        while True:
            ram = await asyncio.to_thread(self._ram)  # it takes milliseconds, which requests lack
            self.sample(await self._disk_free.result(_DISK_S), ram)
            await asyncio.sleep(_EVERY_S)

    def sample(self, disk_free: int | None, ram: tuple[int | None, int | None]) -> None:
        """`ram`: total and free bytes."""
        now = time.time()
        all_managed = list(self._registry)
        running = {m.instance.id: _is_alive(m) for m in all_managed}
        self.rates.sample(self._meters(), running, now)
        limits = self._limits()
        alive = [m for m in all_managed if running[m.instance.id]]
        every = Limits(ram=_ALL, gpus={d: _ALL for m in alive for d in m.taken.gpus})
        taken = Taken(every, [Candidate("", "", need=m.taken) for m in alive])
        total, free = ram
        self.machine.append(
            MachineSample(
                now, total, free, disk_free, taken.ram, limits.ram, taken.gpus, dict(limits.gpus),
                self._leases(), len(alive), self._next_out(),
            )
        )  # fmt: skip


def _is_alive(managed: ManagedInstance) -> bool:
    return managed.replica.runner.now.state not in WITHOUT_PROCESS
