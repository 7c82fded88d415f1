"""What instances take of the memory: estimated from the model's header, then learnt.

What was measured is kept by what decides it: the model files' identities, the engine, and its
options without those that cost no memory. A new file or another context size is estimated again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import orjson

from llamactl.backends import Backend, backend_of
from llamactl.core.errors import LlamactlError, StoreUnavailable
from llamactl.core.instance import Instance, InstanceOptions, OptionValue, Resolve
from llamactl.core.memory import NOTHING, UNKNOWN, Capacity, MeasuredMemory, Need, larger_by_key
from llamactl.core.model import ModelShape
from llamactl.core.ports.stores import MemoryStore
from llamactl.observe import logger

_NEWS = 1.01  # what was measured counts as news if it is larger by so much
_TOO_SMALL = 1.5  # by how much an estimate is raised that a start showed to be too small
_MOST = 1 << 62  # bytes; what a header makes up has no end
_GPU = "gpu:"  # before a device's name, in the store
log = logger("control")


Identities = tuple[list[str], int]  # of model files; bytes of the projector
_NO_FILES: Identities = ([], 0)


class ShapeReader(Protocol):
    def shape(self, path: Path) -> ModelShape:
        """Raises OSError or ValueError for what can't be read."""
        ...


@dataclass(frozen=True, slots=True)
class Around:
    """What decides, besides an instance, how much it takes."""

    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by backend
    capacity: Capacity = UNKNOWN
    devices: Sequence[str] = ()  # GPUs that engines would use
    hidden: Callable[[InstanceOptions], Collection[str]] = lambda _: ()  # of those, from one's own

    def devices_of(self, options: InstanceOptions) -> Sequence[str]:
        """Those that an engine with these sees."""
        hidden = self.hidden(options) if self.devices else ()
        return [one for one in self.devices if one not in hidden]


class Memory:
    """The only one who knows what instances take. What is unknown counts nothing."""

    def __init__(
        self,
        reader: ShapeReader,
        store: MemoryStore,
        *,
        engines: Callable[[], Mapping[str, Sequence[str]]],
        budget: Callable[[], int | None],
        resolve: Resolve = lambda options: options,
        around: Callable[[], Around] = Around,
    ) -> None:
        """`engines`: by backend, command and arguments in the settings. `budget`: bytes of RAM.

        All of these, and `around`, are as they are now.
        """
        self._around = around
        self._engines = engines
        self._budget_now = budget
        self._reader = reader
        self._store = store
        self._resolve = resolve
        self._measured: dict[str, MeasuredMemory] = {}
        self._is_elsewhere = False
        self._raised: dict[str, Need] = {}  # where a start found too little, until it is measured

    @property
    def _budget(self) -> int | None:
        return self._budget_now()

    async def load(self) -> None:
        rows = await self._store.load()
        self._measured.clear()  # which those of other machines share
        self._measured.update({key: _usage(row) for key, row in rows.items()})

    def elsewhere(self, around: Callable[[], Around], budget: Callable[[], int | None]) -> Memory:
        """That of another machine: what was measured on one counts for all with its devices."""
        made = Memory(
            self._reader, self._store, engines=self._engines, budget=budget, resolve=self._resolve,
            around=around,
        )  # fmt: skip
        made._measured = self._measured
        made._is_elsewhere = True
        return made

    async def need(self, instance: Instance) -> Need:
        key, estimate = await self._estimated(instance)
        return self._within_budget(self._raised.get(key) or self._known(key, estimate))

    def _known(self, key: str, estimate: Need) -> Need:
        """What was measured, else the estimate."""
        seen = self._measured.get(key)
        if seen is None:
            return estimate
        shared = _in_proportion(estimate.shared, seen.shared)
        return Need(seen.ram, shared, seen.gpus or estimate.gpus)

    async def learn(self, instance: Instance, usage: MeasuredMemory) -> bool:
        """Keep what was measured, if it is news."""
        key, _ = await self._estimated(instance)
        raised, seen = self._raised.pop(key, None), self._measured.get(key)
        if seen is not None:
            usage = _larger(usage, seen)
            if not _is_news(usage, seen):
                return raised is not None
        self._measured[key] = usage
        try:
            await self._store.save(key, _row(usage))
        except StoreUnavailable as exc:
            log.warning("memory_not_kept", reason=exc.message)
        return True

    def asleep(self, instance: Instance, usage: MeasuredMemory) -> Need:
        return Need(usage.ram + usage.shared, gpus=usage.gpus)

    async def raise_after_oom(self, instance: Instance, free: Need) -> None:
        """Expect more of it at once than was thought to be left, so that somebody makes room.

        Holds until it was measured; whether others were to blame is not to be known.
        """
        key, estimate = await self._estimated(instance)
        thought = self._known(key, estimate)
        gpus = {name: _raise(size, free.gpus.get(name, 0)) for name, size in thought.gpus.items()}
        ram = thought.ram if gpus else _raise(thought.ram, free.ram)
        if self._budget is not None:
            ram = max(thought.ram, min(ram, self._budget - sum(thought.shared.values())))
        self._raised[key] = Need(ram, thought.shared, gpus)
        log.warning("memory_fell_short", name=instance.name, thought=thought.ram, now=ram, **gpus)

    async def _estimated(self, instance: Instance) -> tuple[str, Need]:
        return await asyncio.to_thread(self._estimate, instance)

    def _estimate(self, instance: Instance) -> tuple[str, Need]:
        own, backend = instance.options, backend_of(instance.options.backend_type)
        options, identities, need = own.backend_options, _NO_FILES, NOTHING
        try:
            need = self._reserved(backend, own, options)
            options = self._resolve(options)
            identities, need = self._by_files(backend, own, options)
        except (OSError, ValueError, LlamactlError) as exc:
            log.debug("memory_unknown", name=instance.name, reason=str(exc))
        free = backend.models.free if backend.models else frozenset[str]()
        given = {k: v for k, v in sorted(options.items()) if k not in free}
        variables = self._around().environments.get(backend.name)
        said = [
            [*self._engines()[backend.name]], *identities, given, own.command_override,
            sorted(own.environment.items()), sorted(need.gpus),
            *([sorted(variables.items())] if variables else ()),
        ]  # fmt: skip
        if own.container is not None:
            said.append(own.container.image)
        if self._is_elsewhere and not need.gpus:  # its model may not be readable here
            said.append(sorted(self._around().devices))
        need = Need(min(need.ram, _MOST), need.shared, need.gpus)
        return hashlib.sha256(orjson.dumps(said)).hexdigest(), need

    def _given(
        self, backend: Backend, own: InstanceOptions, options: Mapping[str, OptionValue]
    ) -> Mapping[str, OptionValue]:
        """With what the settings and the environment say."""
        if backend.models is None:
            return options
        _, *words = self._engines()[backend.name] or [""]
        variables = {**self._around().environments.get(backend.name, {}), **own.environment}
        return backend.models.given(options, words, variables)

    def _reserved(
        self, backend: Backend, own: InstanceOptions, options: Mapping[str, OptionValue]
    ) -> Need:
        """Whatever its model is."""
        if backend.models is None:
            return NOTHING
        given = self._given(backend, own, options)
        around = self._around()
        return backend.models.reserved(
            given, devices=around.devices_of(own), capacity=around.capacity
        )

    def _by_files(
        self, backend: Backend, own: InstanceOptions, options: Mapping[str, OptionValue]
    ) -> tuple[Identities, Need]:
        """What identifies its model files, and what it takes for them."""
        if backend.models is None:
            return _NO_FILES, NOTHING
        given = self._given(backend, own, options)
        model, draft = self._shape(options, "model"), self._shape(given, "model_draft")
        projector = _size(options.get("mmproj"))
        files = [file.identity for shape in (model, draft) if shape for file in shape.files]
        if model is None:
            return (files, projector), self._reserved(backend, own, options)
        around = self._around()
        need = backend.models.estimate(
            model, given, draft=draft, projector=projector,
            devices=around.devices_of(own), capacity=around.capacity,
        )  # fmt: skip
        return (files, projector), need

    def _shape(self, options: Mapping[str, OptionValue], name: str) -> ModelShape | None:
        path = options.get(name)
        return self._reader.shape(Path(path)) if isinstance(path, str) else None

    def _within_budget(self, need: Need) -> Need:
        """Mapped pages need not stay: a model larger than the memory can run, if slowly."""
        mapped = sum(need.shared.values())
        if self._budget is None or need.ram + mapped <= self._budget or not mapped:
            return need
        return Need(need.ram, _in_proportion(need.shared, self._budget - need.ram), need.gpus)


def _raise(size: int, free: int) -> int:
    return max(int(size * _TOO_SMALL), free + 1)


def _row(usage: MeasuredMemory) -> dict[str, int]:
    gpus = {_GPU + name: size for name, size in usage.gpus.items()}
    return {"ram": usage.ram, "shared": usage.shared, **gpus}


def _usage(row: Mapping[str, int]) -> MeasuredMemory:
    gpus = {key.removeprefix(_GPU): size for key, size in row.items() if key.startswith(_GPU)}
    return MeasuredMemory(row["ram"], row["shared"], gpus)


def _larger(one: MeasuredMemory, other: MeasuredMemory) -> MeasuredMemory:
    gpus = larger_by_key(one.gpus, other.gpus)
    return MeasuredMemory(max(one.ram, other.ram), max(one.shared, other.shared), gpus)


def _is_news(new: MeasuredMemory, old: MeasuredMemory) -> bool:
    sizes = [(new.ram, old.ram), (new.shared, old.shared)]
    sizes += [(size, old.gpus.get(name, 0)) for name, size in new.gpus.items()]
    return any(size > before * _NEWS for size, before in sizes)


def _in_proportion(shared: Mapping[str, int], total: int) -> dict[str, int]:
    before = sum(shared.values())
    return {key: max(0, total) * size // before if before else 0 for key, size in shared.items()}


def _size(path: object) -> int:
    return Path(path).stat().st_size if isinstance(path, str) else 0
