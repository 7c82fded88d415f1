"""Saves what the slots of an engine hold before it ends, and gives it to the next one."""

from __future__ import annotations

import asyncio
import http
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from llamactl.backends.contexts import ContextRefused, ContextSlots, Slot
from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.contexts import ContextLimits, ContextReport, RestoredSlot
from llamactl.node.contexts import fingerprint
from llamactl.node.contexts.files import ContextFiles, Sidecar
from llamactl.node.contexts.verdicts import Verdicts
from llamactl.node.engine.engine_process import EngineProcess
from llamactl.node.engine.scrape import ask
from llamactl.node.process.ports import LOOPBACK
from llamactl.observe import logger

_TOKEN = 1 << 17  # bytes of a token where nobody knows: those of a model of 8 billion parameters
_QUICK_S = 2.0
_UNPROVED = 1000  # processes
_TICKS = os.sysconf("SC_CLK_TCK")  # of a process's start, a second
log = logger("node")


@dataclass(frozen=True, slots=True)
class Engine:
    """One that runs, as it is asked about its contexts. Blocks."""

    contexts: ContextSlots
    record: ProcessRecord
    key: str
    options: InstanceOptions  # with the files of its model
    until: float  # monotonic seconds

    def get(self, path: str) -> str:
        seconds = max(0.05, min(_QUICK_S, self.until - time.monotonic()))
        try:
            status, text = ask(self._address, self.key, "GET", path, seconds=seconds)
        except OSError:
            return ""
        return text if status == http.HTTPStatus.OK else ""

    def post(self, path: str, body: bytes) -> tuple[int, str]:
        seconds = self.until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("no time is left")
        return ask(self._address, self.key, "POST", path, body, seconds=seconds)

    @property
    def _address(self) -> tuple[str, int]:
        return LOOPBACK, self.record.port

    def slots(self) -> Mapping[int, Slot]:
        return {slot.id: slot for slot in self.contexts.slots(self.get)}

    def fits(self) -> Mapping[str, str]:
        """What its contexts fit only with. Raises FileChanged or OSError."""
        options, contexts = self.options.backend_options, self.contexts
        return {
            **fingerprint.of_files(contexts.files(options), _began(self.record)),
            **contexts.depends_on(options),
            "engine": fingerprint.of_program(self.record.command),
            "build": contexts.build(self.get),
        }


class ContextKeeper:
    """One per node."""

    def __init__(self, files: ContextFiles, verdicts: Verdicts) -> None:
        self.files = files
        self._verdicts = verdicts
        self._unproved: dict[ProcessId, Mapping[str, str]] = {}  # what their contexts fit
        self._checks: dict[str, asyncio.Task[Mapping[int, str]]] = {}  # by instance id
        self._finishing: dict[asyncio.Task[None], str] = {}  # and of which instance

    def __repr__(self) -> str:
        return f"<ContextKeeper of {self.files}>"

    async def make_folder(self, instance_id: str) -> bool:
        """For an engine that is about to start; without it, it starts all the same."""
        await self.settled(instance_id)
        try:
            await asyncio.to_thread(self.files.make_folder, instance_id)
        except OSError as exc:
            log.warning("contexts_not_kept", instance=instance_id, reason=exc.strerror)
            return False
        return True

    def begin(self, instance_id: str) -> None:
        """It loads: meanwhile its files are checked."""
        check = asyncio.to_thread(self._damages, instance_id)
        self._checks[instance_id] = asyncio.create_task(check)

    def _damages(self, instance_id: str) -> Mapping[int, str]:
        return {one.slot: self.files.damage(instance_id, one) for one in self.files.of(instance_id)}

    def used(self, process: ProcessId, *, used: bool) -> int:
        """As `Node.context_used`."""
        fits = self._unproved.pop(process, None)
        return 0 if fits is None else self._verdicts.note(fits, used=used)

    async def save(
        self, one: EngineProcess, options: InstanceOptions, limits: ContextLimits,
        keys: Collection[str],
    ) -> ContextReport:  # fmt: skip
        """Of slots at rest with enough in them.

        The engine may end then; its files are taken in meanwhile.
        """
        written = list[tuple[str, Sidecar]]()
        work = partial(self._save, limits, keys, written)
        report = await self._within(one, options, limits, work)
        if written:
            instance_id = one.record.instance_id
            finish = asyncio.create_task(asyncio.to_thread(self._finish, instance_id, written))
            self._finishing[finish] = instance_id
            finish.add_done_callback(self._finishing.pop)
        return report

    def _finish(self, instance_id: str, written: Iterable[tuple[str, Sidecar]]) -> None:
        for name, one in written:
            try:
                self.files.keep(instance_id, name, one)
            except OSError as exc:
                log.warning("context_lost", instance=instance_id, reason=exc.strerror)

    async def settled(self, instance_id: str = "") -> None:
        """What was saved, of one instance or all, is among the files."""
        found = [task for task, of in self._finishing.items() if instance_id in ("", of)]
        if found:
            await asyncio.wait(found)

    async def restore(
        self, one: EngineProcess, options: InstanceOptions, limits: ContextLimits
    ) -> ContextReport:
        check = self._checks.pop(one.record.instance_id, None)
        if check is None:
            return ContextReport()
        try:
            async with asyncio.timeout(limits.seconds):
                damages = await check
        except TimeoutError:
            late = f"to check its files took longer than {limits.seconds:g} s"
            return ContextReport(seconds=limits.seconds, refused=(late,))
        if not damages:
            return ContextReport()
        return await self._within(one, options, limits, partial(self._restore, damages, limits))

    async def _within(
        self, one: EngineProcess, options: InstanceOptions, limits: ContextLimits,
        work: Callable[[Engine], ContextReport],
    ) -> ContextReport:  # fmt: skip
        contexts, began = one.backend.contexts, time.monotonic()
        if contexts is None or not self.files.folder_of(one.record.instance_id).is_dir():
            return ContextReport()
        engine = Engine(contexts, one.record, one.key, options, began + limits.seconds)
        try:
            async with asyncio.timeout(limits.seconds):
                return await asyncio.to_thread(work, engine)
        except TimeoutError:
            refused = f"it took longer than {limits.seconds:g} s"
            return ContextReport(seconds=time.monotonic() - began, refused=(refused,))

    def _save(
        self,
        limits: ContextLimits,
        keys: Collection[str],
        written: list[tuple[str, Sidecar]],
        engine: Engine,
    ) -> ContextReport:
        worth = [
            slot for slot in engine.slots().values()
            if slot.tokens >= limits.min_tokens and not slot.is_busy
        ]  # fmt: skip
        if not worth:
            return ContextReport()
        try:
            fits = engine.fits()
        except (OSError, fingerprint.FileChanged) as exc:
            return ContextReport(refused=(str(exc),))
        if not limits.insists and (refusal := self._verdicts.refusal(fits)):
            return ContextReport(refused=(refusal,))
        save = partial(self._save_one, engine, limits, fits, keys, written)
        return _reported((slot.id, partial(save, slot)) for slot in worth)

    def _save_one(
        self, engine: Engine, limits: ContextLimits, fits: Mapping[str, str],
        keys: Collection[str], written: list[tuple[str, Sidecar]], slot: Slot,
    ) -> Sidecar:  # fmt: skip
        instance_id, name = engine.record.instance_id, self.files.new_name(slot.id)
        path = self.files.folder_of(instance_id) / name
        before = {one.slot: one for one in self.files.of(instance_id)}.get(slot.id)
        size = self._size(instance_id, slot.tokens)
        if not self.files.make_room(instance_id, slot.id, size, limits):
            raise ContextRefused("there is no room for it on the disk, or in its share of it")
        try:
            tokens = engine.contexts.save(engine.post, slot.id, name)
            _check_count(tokens, limits.min_tokens)
            at = round(time.time(), 3)
            speed = engine.contexts.prompt_speed(engine.get) or (before.speed if before else 0.0)
            took = path.stat().st_size
            one = Sidecar(slot.id, tokens, slot.size, took, "", at, at, fits, sorted(keys), speed)
        except (ContextRefused, OSError):
            path.unlink(missing_ok=True)
            raise
        written.append((name, one))
        return one

    def _size(self, instance_id: str, tokens: int) -> int:
        """What so many tokens take, by those that were saved before."""
        known = [one.size / one.tokens for one in self.files.of(instance_id) if one.tokens]
        return int(tokens * (max(known) if known else _TOKEN))

    def _restore(
        self, damages: Mapping[int, str], limits: ContextLimits, engine: Engine
    ) -> ContextReport:
        instance_id = engine.record.instance_id
        stored, slots = self.files.of(instance_id), engine.slots()
        try:
            fits = engine.fits()
        except (OSError, fingerprint.FileChanged) as exc:
            return ContextReport(refused=(str(exc),))
        if not limits.insists and (refusal := self._verdicts.refusal(fits)):
            return ContextReport(refused=(refusal,))
        self._unproved = {
            **dict([*self._unproved.items()][-_UNPROVED:]),
            engine.record.process: fits,
        }
        return _reported(
            (one.slot, partial(self._restore_one, engine, one, slots, fits, damages))
            for one in stored
        )

    def _restore_one(
        self, engine: Engine, one: Sidecar, slots: Mapping[int, Slot], fits: Mapping[str, str],
        damages: Mapping[int, str],
    ) -> Sidecar:  # fmt: skip
        instance_id = engine.record.instance_id
        try:
            _check(one, slots.get(one.slot), fits, damages.get(one.slot, "it came too late"))
            tokens = engine.contexts.restore(engine.post, one.slot, self.files.name(one.slot))
            _check_count(tokens, 1)
        except ContextRefused:
            self.files.drop_slot(instance_id, one.slot)
            raise
        self.files.used(instance_id, one)
        return one


def _check(one: Sidecar, slot: Slot | None, fits: Mapping[str, str], damage: str) -> None:
    """Raises ContextRefused where the engine must not get it."""
    if differ := ", ".join(fingerprint.differences(one.fits, fits)):
        raise ContextRefused(f"{differ} changed since it was saved")
    if slot is None or slot.size != one.room:
        raise ContextRefused("the slot is gone, or has another size")
    if damage:
        raise ContextRefused(damage)


def _check_count(tokens: int, least: int) -> None:
    """Some engines succeed with nothing."""
    if tokens < least:
        raise ContextRefused(f"the engine did so with {tokens} tokens")


def _reported(work: Iterable[tuple[int, Callable[[], Sidecar]]]) -> ContextReport:
    """One slot after the other; what fails for one does not keep the next."""
    began, done, refused = time.monotonic(), list[Sidecar](), list[str]()
    for slot, act in work:
        try:
            done.append(act())
        except (ContextRefused, OSError) as exc:
            refused.append(f"slot {slot}: {getattr(exc, 'strerror', None) or exc}")
    keys = frozenset(key for one in done for key in one.keys)
    return ContextReport(
        len(done), sum(one.tokens for one in done), sum(one.size for one in done),
        round(time.monotonic() - began, 3), tuple(refused), keys,
        tuple(RestoredSlot(one.tokens, one.speed) for one in done),
    )  # fmt: skip


def _began(record: ProcessRecord) -> float:
    """Unix seconds."""
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + record.start_time / _TICKS
