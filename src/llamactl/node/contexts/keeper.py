"""Saves what the slots of an engine hold before it ends, and gives it to the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from llamactl.backends.contexts import ContextRefused, Slot
from llamactl.core.events import ProcessId
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.contexts import ContextLimits, ContextReport, RestoredSlot
from llamactl.node.contexts import fingerprint
from llamactl.node.contexts.engine import Engine
from llamactl.node.contexts.files import ContextFiles, Sidecar
from llamactl.node.contexts.verdicts import Verdicts
from llamactl.node.engine.engine_process import EngineProcess
from llamactl.observe import logger

_TOKEN = 1 << 17  # bytes of a token where nobody knows: those of a model of 8 billion parameters
log = logger("node")


class ContextKeeper:
    """One per node."""

    def __init__(self, files: ContextFiles, verdicts: Verdicts) -> None:
        self.files = files
        self._verdicts = verdicts
        # by instance id: the process that restored, what its contexts fit, the sort of definition
        self._unproved: dict[str, tuple[ProcessId, Mapping[str, str], str]] = {}
        # by instance id: a process, and what its contexts fit, which stays so while it runs
        self._fits: dict[str, tuple[ProcessId, Mapping[str, str]]] = {}
        self._checks: dict[str, asyncio.Task[Mapping[int, str]]] = {}  # by instance id
        # takes files in that were written, and of which instance they are
        self._finishing: dict[asyncio.Task[None], tuple[str, Sequence[tuple[str, Sidecar]]]] = {}

    def __repr__(self) -> str:
        return f"<ContextKeeper of {self.files}>"

    async def make_folder(self, instance_id: str) -> bool:
        """For an engine that is about to start; without it, it starts all the same.

        What is being taken in is left, and not waited for: that is due when it has loaded.
        """
        busy = [one for of, written in self._finishing.values() if of == instance_id
                for one in written]  # fmt: skip
        spared = {file for name, one in busy for file in self.files.touched(name, one.slot)}
        try:
            await asyncio.to_thread(self.files.make_folder, instance_id, spared)
        except OSError as exc:
            log.warning("contexts_not_kept", instance=instance_id, reason=exc.strerror)
            return False
        return True

    def begin(self, instance_id: str) -> None:
        """It loads: meanwhile its files are checked."""
        self._checks[instance_id] = asyncio.create_task(self._check(instance_id))

    async def _check(self, instance_id: str) -> Mapping[int, str]:
        await self.settled(instance_id)
        return await asyncio.to_thread(self.files.damages, instance_id)

    def used(self, process: ProcessId, *, used: bool) -> int:
        """As `Node.context_used`."""
        restored, fits, sort = self._unproved.get(process.replica_id, (None, {}, ""))
        if restored != process:
            return 0
        del self._unproved[process.replica_id]
        return self._verdicts.note(fits, sort, used=used)

    def unused(self) -> frozenset[str]:
        """As `Node.unused_contexts`. Blocks."""
        return self._verdicts.unused()

    async def forget(self, instance_id: str) -> None:
        """It was deleted."""
        self._unproved.pop(instance_id, None)
        self._fits.pop(instance_id, None)
        if (check := self._checks.pop(instance_id, None)) is not None:
            check.cancel()
        await self.settled(instance_id)
        await asyncio.to_thread(self.files.drop_instance, instance_id)

    async def save(
        self, one: EngineProcess, options: InstanceOptions, limits: ContextLimits,
        keys: Collection[str], asked: str,
    ) -> ContextReport:  # fmt: skip
        """Of slots at rest with enough in them.

        The engine may end then; its files are taken in meanwhile.
        """
        written = list[tuple[str, Sidecar]]()
        work = partial(self._save, limits, keys, asked, written)
        report = await self._within(one, options, limits, work)
        if report.asked:  # which of them it is, nobody knows
            written = [
                (name, replace(sidecar, asked=report.asked, among=len(written)))
                for name, sidecar in written
            ]
        if written:
            instance_id = one.record.instance_id
            earlier = self._unfinished(instance_id)
            finish = asyncio.create_task(self._take_in(earlier, instance_id, written))
            self._finishing[finish] = instance_id, written
            finish.add_done_callback(self._finishing.pop)
        return report

    async def _take_in(
        self, earlier: Collection[asyncio.Task[None]], instance_id: str,
        written: Sequence[tuple[str, Sidecar]],
    ) -> None:  # fmt: skip
        if earlier:
            await asyncio.wait(earlier)  # the newest is to stay
        await asyncio.to_thread(self._finish, instance_id, written)

    def _finish(self, instance_id: str, written: Iterable[tuple[str, Sidecar]]) -> None:
        for name, one in written:
            try:
                self.files.keep(instance_id, name, one)
            except OSError as exc:
                log.warning("context_lost", instance=instance_id, reason=exc.strerror)

    async def settled(self, instance_id: str = "") -> None:
        """What was saved, of one instance or all, is among the files."""
        if found := self._unfinished(instance_id):
            await asyncio.wait(found)

    def _unfinished(self, instance_id: str) -> Collection[asyncio.Task[None]]:
        return [task for task, (of, _) in self._finishing.items() if instance_id in ("", of)]

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
        engine = Engine(one.record, one.key, began + limits.seconds, contexts, options)
        try:
            async with asyncio.timeout(limits.seconds):
                return await asyncio.to_thread(work, engine)
        except ContextRefused as exc:
            return ContextReport(refused=(str(exc),))
        except TimeoutError:
            refused = f"it took longer than {limits.seconds:g} s"
            return ContextReport(seconds=time.monotonic() - began, refused=(refused,))

    def _save(
        self,
        limits: ContextLimits,
        keys: Collection[str],
        asked: str,
        written: list[tuple[str, Sidecar]],
        engine: Engine,
    ) -> ContextReport:
        holding = [slot for slot in engine.slots().values() if slot.tokens]
        worth = [slot for slot in holding if slot.tokens >= limits.min_tokens and not slot.is_busy]
        if not worth:
            return ContextReport()
        fits = self._trusted(engine, limits)
        save = partial(self._save_one, engine, limits, fits, keys, written)
        report = _reported((slot.id, partial(save, slot)) for slot in worth)
        return replace(report, asked=asked if report.slots == len(holding) else "")

    def _trusted(self, engine: Engine, limits: ContextLimits) -> Mapping[str, str]:
        """What its contexts fit only with. Raises ContextRefused where they are not kept."""
        process = engine.record.process
        of, fits = self._fits.get(engine.record.instance_id, (None, {}))
        if of != process:
            try:
                fits = engine.fits()
            except (OSError, fingerprint.FileChanged) as exc:
                raise ContextRefused(str(exc)) from exc
            self._fits[engine.record.instance_id] = process, fits
        if not limits.insists and (refusal := self._verdicts.refusal(fits, engine.sort)):
            raise ContextRefused(refusal)
        return fits

    def _save_one(
        self, engine: Engine, limits: ContextLimits, fits: Mapping[str, str],
        keys: Collection[str], written: list[tuple[str, Sidecar]], slot: Slot,
    ) -> Sidecar:  # fmt: skip
        instance_id, name = engine.record.instance_id, self.files.new_name(slot.id)
        path = self.files.folder_of(instance_id) / name
        stored = self.files.of(instance_id)
        before = next((one for one in stored if one.slot == slot.id), None)
        if not self.files.make_room(instance_id, slot.id, _size(stored, slot.tokens), limits):
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

    def _restore(
        self, damages: Mapping[int, str], limits: ContextLimits, engine: Engine
    ) -> ContextReport:
        instance_id = engine.record.instance_id
        stored, slots = self.files.of(instance_id), engine.slots()
        fits = self._trusted(engine, limits)
        self._unproved[instance_id] = engine.record.process, fits, engine.sort
        report = _reported(
            (one.slot, partial(self._restore_one, engine, one, slots, fits, damages))
            for one in stored
        )
        return replace(report, asked=_asked(stored) if report.slots == len(stored) > 0 else "")

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


def _size(stored: Iterable[Sidecar], tokens: int) -> int:
    """What so many tokens take, by those that were saved before."""
    known = [one.size / one.tokens for one in stored if one.tokens]
    return int(tokens * (max(known) if known else _TOKEN))


def _asked(stored: Sequence[Sidecar]) -> str:
    """As `ContextReport.asked`: what was saved last must still be complete."""
    last = max(stored, key=lambda one: one.saved_at)
    with_it = [one for one in stored if (one.asked, one.among) == (last.asked, last.among)]
    return last.asked if len(with_it) == last.among else ""


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
