"""What instances are thought to take: estimated, then learnt, raised after a start that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llamactl.backends import backend_of
from llamactl.control.scheduling.memory_estimates import Around, Memory
from llamactl.core.errors import StoreUnavailable
from llamactl.core.instance import Instance, InstanceOptions, OptionValue
from llamactl.core.memory import NOTHING, MeasuredMemory, Need
from llamactl.core.model import ModelFile, ModelShape
from support.model_shape import MIB, SHAPE


class Shapes:
    """Of model files; those that are not here can't be read."""

    def __init__(self) -> None:
        self.of: dict[str, ModelShape] = {"/m.gguf": SHAPE}

    def shape(self, path: Path) -> ModelShape:
        if str(path) not in self.of:
            raise FileNotFoundError(path)
        return self.of[str(path)]


class Measurements:
    def __init__(self) -> None:
        self.rows: dict[str, Mapping[str, int]] = {}
        self.away = False

    async def load(self) -> Mapping[str, Mapping[str, int]]:
        return self.rows

    async def save(self, key: str, measured: Mapping[str, int]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.rows[key] = measured


class Site:
    def __init__(self, *, budget: int | None = None, devices: tuple[str, ...] = ()) -> None:
        self.shapes, self.store = Shapes(), Measurements()
        self.engines = {backend_of("llama_cpp").name: ["llama-server"]}
        self.engines["command"] = []
        self.budget, self._devices = budget, devices
        self.hidden: set[str] = set()  # from engines without an environment
        self.begin()

    def begin(self) -> None:
        self.memory = Memory(
            self.shapes, self.store, engines=lambda: self.engines,
            budget=lambda: self.budget,
            around=lambda: Around(devices=self._devices, hidden=self._hidden),
        )  # fmt: skip

    def _hidden(self, options: InstanceOptions) -> set[str]:
        return set() if options.environment else self.hidden


def instance(name: str = "one", *, kind: str = "llama_cpp", **options: OptionValue) -> Instance:
    given: dict[str, OptionValue] = {"model": "/m.gguf", "ctx_size": 1024, **options}
    return Instance(name, name, 0, InstanceOptions(backend_type=kind, backend_options=given))


async def test_the_same_model_with_more_context_is_thought_to_take_more() -> None:
    memory = Site().memory
    small, large = [await memory.need(instance(ctx_size=n)) for n in (1024, 8192)]

    assert small.shared == large.shared == {"f": 1000 * MIB}
    assert 0 < small.ram < large.ram


@pytest.mark.parametrize("model", ["/gone.gguf", ""])
async def test_what_can_not_be_read_counts_nothing(model: str) -> None:
    assert await Site().memory.need(instance(model=model)) == NOTHING


async def test_what_was_measured_takes_the_place_of_the_estimate_also_after_a_restart() -> None:
    site = Site()
    assert await site.memory.learn(instance(), MeasuredMemory(300 * MIB, 500 * MIB))
    known = await site.memory.need(instance())

    assert (known.ram, dict(known.shared)) == (300 * MIB, {"f": 500 * MIB})
    site.begin()
    assert await site.memory.need(instance()) != known
    await site.memory.load()
    assert await site.memory.need(instance()) == known
    assert await site.memory.need(instance("another")) == known, "the same command takes the same"


@pytest.mark.parametrize(
    "change",
    [{"ctx_size": 2048}, {"cache_type_k": "q8_0"}, {"model": "/other.gguf"}],
)
async def test_what_was_measured_says_nothing_of_what_is_defined_otherwise(
    change: dict[str, Any],
) -> None:
    site = Site()
    site.shapes.of["/other.gguf"] = replace(SHAPE, files=(ModelFile("g", 1000 * MIB),))
    await site.memory.learn(instance(), MeasuredMemory(MIB, MIB))

    assert (await site.memory.need(instance(**change))).ram > MIB


async def test_a_file_or_an_engine_that_was_replaced_is_estimated_anew() -> None:
    site = Site()
    before = await site.memory.need(instance())
    await site.memory.learn(instance(), MeasuredMemory(MIB, MIB))
    kept = dict(site.engines)
    site.engines[backend_of("llama_cpp").name] = ["llama-server", "--mlock"]
    assert (await site.memory.need(instance())).ram == before.ram
    site.engines = kept
    assert (await site.memory.need(instance())).ram == MIB
    site.shapes.of["/m.gguf"] = replace(SHAPE, files=(ModelFile("new", 1000 * MIB),))
    assert (await site.memory.need(instance())).ram == before.ram


async def test_what_an_engine_does_not_see_is_not_counted() -> None:
    site, free = Site(devices=("gpu0", "gpu1")), instance(gpu_layers=99)
    named = replace(free, options=replace(free.options, environment={"X": "1"}))
    both = (await site.memory.need(free)).gpus
    site.hidden = {"gpu0"}
    one = (await site.memory.need(free)).gpus

    assert both.keys() == {"gpu0", "gpu1"}
    assert one.keys() == {"gpu1"} and one["gpu1"] > both["gpu1"]
    assert (await site.memory.need(named)).gpus == both


async def test_only_more_than_was_known_is_news_and_the_most_is_kept() -> None:
    site = Site(devices=("CUDA0",))
    assert await site.memory.learn(instance(), MeasuredMemory(100, 50, {"CUDA0": 10}))
    for less in (
        MeasuredMemory(90, 50),
        MeasuredMemory(100, 50, {"CUDA0": 10}),
        MeasuredMemory(100, 0),
    ):
        assert not await site.memory.learn(instance(), less)
    assert await site.memory.learn(instance(), MeasuredMemory(0, 0, {"CUDA0": 20}))

    known = await site.memory.need(instance())
    assert (known.ram, sum(known.shared.values()), known.gpus) == (100, 50, {"CUDA0": 20})
    assert list(site.store.rows.values()) == [{"ram": 100, "shared": 50, "gpu:CUDA0": 20}]


async def test_what_the_store_does_not_take_counts_until_the_end() -> None:
    site = Site()
    site.store.away = True
    assert await site.memory.learn(instance(), MeasuredMemory(100, 50))
    assert (await site.memory.need(instance())).ram == 100
    assert site.store.rows == {}


async def test_after_a_start_that_found_too_little_more_is_expected_than_was_left() -> None:
    site = Site()
    thought = await site.memory.need(instance())
    await site.memory.raise_after_oom(instance(), Need(ram=10_000 * MIB))
    raised = await site.memory.need(instance())

    assert raised.ram == 10_000 * MIB + 1 and raised.shared == thought.shared
    assert await site.memory.learn(instance(), MeasuredMemory(100, 50)), (
        "what is measured ends that"
    )
    assert (await site.memory.need(instance())).ram == 100
    await site.memory.raise_after_oom(instance(), NOTHING)
    assert (await site.memory.need(instance())).ram == 150
    assert await site.memory.learn(instance(), MeasuredMemory(100, 50)), (
        "no more than before, but it fits"
    )
    assert (await site.memory.need(instance())).ram == 100


async def test_more_is_expected_of_the_gpu_that_was_full_and_not_of_the_ram() -> None:
    site = Site(devices=("CUDA0",))
    on_gpu = instance(n_gpu_layers=99)
    thought = await site.memory.need(on_gpu)
    assert thought.gpus["CUDA0"] > 0
    await site.memory.raise_after_oom(on_gpu, Need(ram=1 << 50, gpus={"CUDA0": 1 << 40}))
    raised = await site.memory.need(on_gpu)

    assert (raised.ram, raised.gpus["CUDA0"]) == (thought.ram, (1 << 40) + 1)


async def test_what_is_expected_never_exceeds_what_there_may_be() -> None:
    site = Site(budget=2000 * MIB)
    await site.memory.raise_after_oom(instance(), Need(ram=1 << 50))
    raised = await site.memory.need(instance())

    assert raised.ram == 1000 * MIB, "beside the mapped file"


async def test_of_a_mapped_file_that_is_larger_than_the_memory_only_what_fits_counts() -> None:
    site = Site(budget=900 * MIB)
    need = await site.memory.need(instance())
    whole = await Site().memory.need(instance())

    assert need.ram == whole.ram and need.ram + sum(need.shared.values()) == 900 * MIB
    site.budget = need.ram // 2
    assert sum((await site.memory.need(instance())).shared.values()) == 0


async def test_a_projector_and_a_draft_count_too(tmp_path: Path) -> None:
    site = Site()
    site.shapes.of["/d.gguf"] = replace(
        SHAPE, files=(ModelFile("d", 100 * MIB),), layer_bytes=(9 * MIB,) * 10,
        other_bytes=10 * MIB,
    )  # fmt: skip
    projector = tmp_path / "p.gguf"
    projector.write_bytes(b"x" * 5000)
    alone = await site.memory.need(instance())
    both = await site.memory.need(instance(model_draft="/d.gguf"))
    seeing = await site.memory.need(instance(mmproj=str(projector)))

    assert both.shared == {"f": 1000 * MIB, "d": 100 * MIB} and both.ram > alone.ram
    assert seeing.ram >= alone.ram + 5000
    projector.unlink()
    assert await site.memory.need(instance(mmproj=str(projector))) == NOTHING


async def test_of_any_command_what_it_took_is_known_once_it_ran() -> None:
    site = Site()
    mine = Instance("c", "c", 0, InstanceOptions(
        backend_type="command", backend_options={"args": ["serve"]}
    ))  # fmt: skip
    assert await site.memory.need(mine) == NOTHING
    assert await site.memory.learn(mine, MeasuredMemory(100, 0, {"CUDA0": 7}))
    known = await site.memory.need(mine)
    assert (known.ram, dict(known.gpus)) == (100, {"CUDA0": 7})


async def test_what_was_measured_elsewhere_counts_where_the_devices_are_the_same() -> None:
    site = Site()
    gpus, same, none = (
        site.memory.elsewhere(lambda devices=devices: Around(devices=devices), lambda: None)  # type: ignore[misc]
        for devices in (("CUDA0",), ("CUDA0",), ())
    )
    far = instance(model="/only-there.gguf")
    await gpus.learn(far, MeasuredMemory(100, 0, {"CUDA0": 7}))

    assert await same.need(far) == Need(100, gpus={"CUDA0": 7})
    assert await none.need(far) == NOTHING
