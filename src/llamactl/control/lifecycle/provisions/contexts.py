"""Contexts of conversations: saved before a process ends, restored before the next one serves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass

import orjson

from llamactl.backends import backend_of
from llamactl.config import SettingsHolder
from llamactl.core.errors import LlamactlError, UnknownProcess
from llamactl.core.events import ProcessRecord
from llamactl.core.ports.context_use import ANY_KEY, ContextUse, SentRequest
from llamactl.core.ports.contexts import ContextLimits, ContextReport, StoredContext
from llamactl.core.ports.node import Node
from llamactl.observe import ByInstance, ContextMeter
from llamactl.policy.body.continuation import continues, name_of
from llamactl.policy.body.token_counts import tokens
from llamactl.policy.context_reuse import MISSES, UNUSED, Reuse, judge

_DAY_S = 86400.0
_WATCHED = 32  # requests, of which one may show that what was restored is used
_REVOKED = "a key that may have used it was revoked"
_OTHERS_CAME = "another key used it while it was saved, and may be in it"
Note = Callable[[str, str, Mapping[str, object]], None]  # an event, its cause and details


class Contexts:
    """Of one node. Nothing here keeps a process from starting or ending."""

    def __init__(self, node: Node, held: SettingsHolder, uses: ContextUse) -> None:
        self._node = node
        self._held = held
        self._uses = uses
        self._revoked: set[str] = set()  # keys, since we run
        self._tasks: set[asyncio.Task[object]] = set()
        self._looking: asyncio.Task[object] | None = None
        self._refused: dict[str, tuple[str, ...]] = {}  # by instance id: what was said last
        self.meters = ByInstance(ContextMeter)
        # sorts of definitions whose engines did not use what they restored, as last seen
        self.unused: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Contexts on {self._node.id}>"

    async def save(self, record: ProcessRecord, note: Note) -> None:
        """Of a process that serves nobody now."""
        keys = self._uses.users(record.instance_id)
        if self._is_revoked(keys):
            self.meters.of(record.instance_id).not_saved += 1
            self._tell_saved(record, note, ContextReport(refused=(_REVOKED,)))
            return
        try:
            last = await self._uses.gathered(record.instance_id)
            asked = await asyncio.to_thread(_name_of, last) if last is not None else ""
            limits = self._limits(record)
            report = await self._node.save_context(record.process, limits, keys, asked)
        except UnknownProcess:  # it has ended by itself
            return
        except LlamactlError as exc:
            report = ContextReport(refused=(exc.message,))
        if why := self._spoiled(record.instance_id, keys):
            await self._node.drop_contexts(instance_id=record.instance_id)
            if report.slots:
                report = ContextReport(refused=(why,))
        meter = self.meters.of(record.instance_id)
        meter.add_saved(report.slots, report.tokens, report.seconds, len(report.refused))
        self._tell_saved(record, note, report)
        self.look()

    def _tell_saved(self, record: ProcessRecord, note: Note, report: ContextReport) -> None:
        """Why nothing was, a disk that is full for example, is said once until something is."""
        if report.refused == self._refused.get(record.instance_id) and not report.slots:
            return
        if report.refused:
            self._refused[record.instance_id] = report.refused
        elif report.slots:
            self._refused.pop(record.instance_id, None)
        _tell(note, "ContextSaved", "ContextNotSaved", report)

    def _spoiled(self, instance_id: str, keys: frozenset[str]) -> str:
        """Why what was saved may not be kept, by what happened meanwhile; "" if it may."""
        if self._is_revoked(keys):
            return _REVOKED
        return "" if self._uses.users(instance_id) <= keys else _OTHERS_CAME

    def _is_revoked(self, keys: frozenset[str]) -> bool:
        """May a key that is no longer valid be among them?"""
        return bool(self._revoked) and (ANY_KEY in keys or not self._revoked.isdisjoint(keys))

    async def restore(self, record: ProcessRecord, note: Note) -> None:
        """Into a process that is ready, and serves nobody yet."""
        try:
            report = await self._node.restore_context(record.process, self._limits(record))
        except UnknownProcess:
            return
        except LlamactlError as exc:
            report = ContextReport(refused=(exc.message,))
        proof = _Proof(self, record, note, report) if report.restored else None
        self._uses.begin(record.instance_id, report.keys, proof)
        meter = self.meters.of(record.instance_id)
        meter.add_restored(report.slots, report.tokens, report.seconds, len(report.refused))
        _tell(note, "ContextRestored", "ContextRefused", report)
        self.look()

    def unproved(self, proof: _Proof) -> None:
        """Nothing was shown by the requests that were watched."""
        self._uses.proved(proof.record.instance_id)

    def proved(self, proof: _Proof, reuse: Reuse, cached: int) -> None:
        """The first request after a restore showed whether it was used."""
        self._uses.proved(proof.record.instance_id)
        self._run(self._judge(proof, reuse, cached))

    async def _judge(self, proof: _Proof, reuse: Reuse, cached: int) -> None:
        used = reuse is Reuse.USED
        misses = await self._node.context_used(proof.record.process, used=used)
        meter = self.meters.of(proof.record.instance_id)
        if used:
            speed = max(one.speed for one in proof.report.restored)
            saved = {"seconds": round(cached / speed, 1)} if speed else {}
            meter.add_used(cached, saved.get("seconds", 0.0))
            proof.note("ContextUsed", "", {"tokens": cached, **saved})
        else:
            again = "contexts of this model are no longer kept: " if misses >= MISSES else ""
            meter.not_used += 1
            proof.note("ContextNotUsed", f"{again}{UNUSED}", {"misses": misses})
        await self._look()

    def forget(self, instance_id: str) -> None:
        """It was deleted."""
        self._refused.pop(instance_id, None)

    def look(self) -> None:
        """Ask, beside everything else, which engines do not use what they restore.

        One question at a time: a disk that hangs must not take a thread for each.
        """
        if self._looking is None or self._looking.done():
            self._looking = self._run(self._look())

    async def _look(self) -> None:
        self.unused = await self._node.unused_contexts()

    def adopted(self, record: ProcessRecord) -> None:
        """Who used it before is not known here."""
        self._uses.begin(record.instance_id, {ANY_KEY}, None)

    def revoked(self, key: str) -> None:
        """What it may have written in is removed, and never saved again."""
        self._revoked.add(key)
        self._run(self._node.drop_contexts(key=key))

    def _run(self, work: Coroutine[object, object, object]) -> asyncio.Task[object]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def all(self) -> list[StoredContext]:
        return [*await self._node.contexts()]

    async def drop(self, instance_id: str = "") -> int:
        """Of one instance, or all; how many there were."""
        return await self._node.drop_contexts(instance_id=instance_id)

    def _limits(self, record: ProcessRecord) -> ContextLimits:
        now = self._held.current.instances
        disk = None if now.context_disk_budget == "auto" else now.context_disk_budget
        return ContextLimits(
            now.context_min_tokens, now.context_save_timeout, disk, now.context_share,
            now.context_max_age * _DAY_S, insists=record.options.keep_context == "on",
        )  # fmt: skip


@dataclass(slots=True)
class _Proof:
    """What is waited for after a restore.

    An engine that works as it should is never blamed for what its clients ask. So that a context
    was not used counts only of the first request, and only if it begins with all that was restored.
    """

    contexts: Contexts
    record: ProcessRecord
    note: Note
    report: ContextReport
    requests: int = 0  # since the restore

    def sent(self) -> None:
        self.requests += 1
        if self.requests > _WATCHED:
            self.contexts.unproved(self)

    def heard(self, prompt: int, cached: int, request: SentRequest) -> None:
        reuse = judge([one.tokens for one in self.report.restored], prompt, cached)
        is_known = reuse is Reuse.USED or (reuse is Reuse.MISSED and self._should_use(request))
        if is_known:
            self.contexts.proved(self, reuse, cached)

    def _should_use(self, request: SentRequest) -> bool:
        """Would any engine have used what was restored for this?"""
        slots = backend_of(self.record.options.backend_type).contexts
        body = _body(request)
        return (
            self.requests == 1
            and slots is not None
            and not slots.does_without(body)
            and continues(body, self.report.asked, _day(request.at))
        )


def _name_of(request: SentRequest) -> str:
    """Of one that was computed. Blocks, for milliseconds."""
    if tokens(request.answer).cached is None:
        return ""
    return name_of(_body(request), _day(request.at))


def _day(at: float) -> str:
    """As any engine's clock may be set."""
    return " ".join(time.strftime("%F", clock(at)) for clock in (time.gmtime, time.localtime))


def _body(request: SentRequest) -> Mapping[str, object]:
    """Empty if it is not known, or no object."""
    try:
        found = orjson.loads(b"".join(request.body))
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _tell(note: Note, done: str, refused: str, report: ContextReport) -> None:
    if report.slots:
        note(done, "", {"slots": report.slots, "tokens": report.tokens, "bytes": report.size,
                        "seconds": report.seconds})  # fmt: skip
    if report.refused:
        note(refused, "; ".join(report.refused), {})
