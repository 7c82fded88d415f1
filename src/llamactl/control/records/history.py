"""What instances served in the last days, for charts: written every minute, read when asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from llamactl.config import Settings, SettingsHolder
from llamactl.control.lifecycle.registry import Registry
from llamactl.control.shielded import ShieldedTasks
from llamactl.core.errors import StoreUnavailable
from llamactl.core.ports.history import HistoryRow, HistoryStore, Served, Window
from llamactl.observe import Meter, Meters, logger
from llamactl.policy.history import (
    DETAILED_S,
    FOLDED_S,
    MINUTE_S,
    Steps,
    minute,
    since,
    slot,
    summed,
)

MOST_ROWS = 50_000
_DAY_S = 86_400
_NEVER = 1 << 62
_OURS = 500  # and above: not the client's fault
log = logger("control")


@dataclass(frozen=True, slots=True)
class Series:
    """What a chart shows."""

    steps: Steps
    until: float  # Unix seconds; the last step is not over yet
    served: list[Served]  # in each step


class History:
    """One per application, and the only writer of its rows.

    What can't be written counts for a later minute.
    """

    def __init__(
        self, held: SettingsHolder, registry: Registry, meters: Callable[[], Meters],
        gather: Callable[[], Awaitable[object]], store: HistoryStore,
    ) -> None:  # fmt: skip
        """`gather`: brings into the meters what other processes counted."""
        self._held = held
        self._registry = registry
        self._meters = meters
        self._gather = gather
        self._store = store
        self._written: dict[str, Served] = {}  # totals until the last row, by instance id
        self._was_off = False  # at the last write: what came since then is not kept
        self._changed = asyncio.Event()  # the settings have
        self._turn = asyncio.Lock()
        self._tasks = ShieldedTasks()  # or a row that was written would be counted again

    def __repr__(self) -> str:
        return f"<History of {len(self._written)}>"

    @property
    def _kept_s(self) -> float:
        return self._held.current.instances.history_retention * _DAY_S

    def heed(self, _: Settings) -> None:
        self._changed.set()

    async def keep(self) -> None:
        """Write until cancelled. `write` afterwards."""
        while True:
            self._changed.clear()
            with suppress(TimeoutError):
                left = MINUTE_S - time.time() % MINUTE_S
                await asyncio.wait_for(self._changed.wait(), left)
            await self.write()

    async def write(self, clock: Callable[[], float] = time.time) -> None:
        """What came since the last time; raises nothing. `clock`: Unix seconds."""
        try:
            await self._tasks.run(self._write(clock))
        except Exception as exc:  # a fault of ours must keep nobody from ending
            log.failure("history_failed", exc)

    async def _write(self, clock: Callable[[], float]) -> None:
        async with self._turn:
            await self._gather()
            now, totals = clock(), self._totals()
            rows = self._new_rows(totals, now)
            with suppress(StoreUnavailable):
                if rows:
                    await self._store.add(rows)
                self._written, self._was_off = totals, not self._kept_s
                await self._store.fold(slot(now - DETAILED_S, FOLDED_S), FOLDED_S)
                oldest = int(now - self._kept_s) if self._kept_s else _NEVER
                await self._store.forget(oldest, MOST_ROWS)

    async def series(
        self, window: Window, ids: Collection[str] | None, clock: Callable[[], float] = time.time
    ) -> Series:
        """`ids`: of instances; None: of all. Raises StoreUnavailable."""
        async with self._turn:
            await self._gather()
            now = clock()
            steps = Steps.of(window, now)
            if not self._kept_s:
                return Series(steps, now, steps.series({}))
            sums = dict(await self._store.sums(steps.start, steps.end, steps.step_s, ids))
            rows = self._new_rows(self._totals(), now)
            wanted = [row for row in rows if ids is None or row.instance_id in ids]
            for at, served in summed(wanted, steps.step_s).items():
                sums[at] = sums.get(at, Served()) + served
            return Series(steps, now, steps.series(sums))

    def _totals(self) -> dict[str, Served]:
        meters = self._meters()
        ids = [managed.instance.id for managed in self._registry.present()]
        return {instance_id: _total(meters.of(instance_id)) for instance_id in ids}

    def _new_rows(self, totals: dict[str, Served], now: float) -> list[HistoryRow]:
        if self._was_off or not self._kept_s:
            return []
        news = {i: since(self._written.get(i), total) for i, total in totals.items()}
        return [HistoryRow(i, minute(now), MINUTE_S, new) for i, new in news.items() if new]


def _total(meter: Meter) -> Served:
    answers = sum(meter.statuses.values())
    faults = sum(count for status, count in meter.statuses.items() if status >= _OURS)
    queue, first = meter.queue, meter.first_byte
    return Served(
        answers, min(answers, faults + meter.broken_off), sum(meter.refused.values()),
        meter.prompt_tokens, meter.cached_tokens, meter.generated_tokens,
        queue.count, queue.total, first.count, first.total,
    )  # fmt: skip
