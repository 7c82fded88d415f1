"""Contexts of conversations: saved before a process ends, restored before the next one serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from llamactl.config import SettingsHolder
from llamactl.core.errors import UnknownProcess
from llamactl.core.events import ProcessRecord
from llamactl.core.ports.activator import Leases
from llamactl.core.ports.contexts import ANY_KEY, ContextLimits, ContextReport, StoredContext
from llamactl.core.ports.node import Node
from llamactl.observe import ByInstance, ContextMeter

_DAY_S = 86400.0
Note = Callable[[str, str, Mapping[str, object]], None]  # an event, its cause and details


class Contexts:
    """Of one node. Nothing here keeps a process from starting or ending."""

    def __init__(self, node: Node, held: SettingsHolder, leases: Leases) -> None:
        self._node = node
        self._held = held
        self._leases = leases
        self._revoked: set[str] = set()  # keys, since we run
        self._dropping: set[asyncio.Task[int]] = set()
        self.meters = ByInstance(ContextMeter)

    def __repr__(self) -> str:
        return f"<Contexts on {self._node.id}>"

    async def save(self, record: ProcessRecord, note: Note) -> None:
        """Of a process that serves nobody any longer."""
        keys, meter = self._leases.users(record.instance_id), self.meters.of(record.instance_id)
        if self._revoked and (ANY_KEY in keys or not self._revoked.isdisjoint(keys)):
            meter.not_saved += 1
            note("ContextNotSaved", "a key that may have used it was revoked", {})
            return
        try:
            report = await self._node.save_context(record.process, self._limits, keys)
        except UnknownProcess:  # it has ended by itself
            return
        meter.add_saved(report.slots, report.tokens, report.seconds, len(report.refused))
        _tell(note, "ContextSaved", "ContextNotSaved", report)

    async def restore(self, record: ProcessRecord, note: Note) -> None:
        """Into a process that is ready, and serves nobody yet."""
        try:
            report = await self._node.restore_context(record.process, self._limits)
        except UnknownProcess:
            return
        self._leases.start_users(record.instance_id, report.keys)
        meter = self.meters.of(record.instance_id)
        meter.add_restored(report.slots, report.tokens, report.seconds, len(report.refused))
        _tell(note, "ContextRestored", "ContextRefused", report)

    def adopted(self, record: ProcessRecord) -> None:
        """Who used it before is not known here."""
        self._leases.start_users(record.instance_id, frozenset({ANY_KEY}))

    def revoked(self, key: str) -> None:
        """What it may have written in is removed, and never saved again."""
        self._revoked.add(key)
        task = asyncio.get_running_loop().create_task(self._node.drop_contexts(key=key))
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    async def all(self) -> list[StoredContext]:
        return [*await self._node.contexts()]

    async def drop(self, instance_id: str = "") -> int:
        """Of one instance, or all; how many there were."""
        return await self._node.drop_contexts(instance_id=instance_id)

    @property
    def _limits(self) -> ContextLimits:
        now = self._held.current.instances
        disk = None if now.context_disk_budget == "auto" else now.context_disk_budget
        return ContextLimits(
            now.context_min_tokens, now.context_save_timeout, disk, now.context_share,
            now.context_max_age * _DAY_S,
        )  # fmt: skip


def _tell(note: Note, done: str, refused: str, report: ContextReport) -> None:
    if report.slots:
        note(done, "", {"slots": report.slots, "tokens": report.tokens, "bytes": report.size,
                        "seconds": report.seconds})  # fmt: skip
    if report.refused:
        note(refused, "; ".join(report.refused), {})
