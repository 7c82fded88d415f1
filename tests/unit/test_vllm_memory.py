"""What vLLM is thought to take: a share of each card, or the model's own memory without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llamactl.backends import BACKENDS
from llamactl.core.memory import Capacity, Need
from llamactl.core.model import ModelShape
from support.model_shape import MIB, SHAPE

GIB = 1 << 30
RULES = BACKENDS["vllm"].models
CARDS = {"gpu0": 80 * GIB, "gpu1": 40 * GIB, "gpu2": 80 * GIB}
F32 = replace(SHAPE, types={"F32": SHAPE.weights})
ALL = Capacity(gpus=CARDS, gpu_budgets={name: size * 9 // 10 for name, size in CARDS.items()})


def need(
    shape: ModelShape | None = F32, *, cards: int = 0, capacity: Capacity = ALL,
    environment: dict[str, str] | None = None, words: tuple[str, ...] = (), **options: Any,
) -> Need:  # fmt: skip
    assert RULES is not None
    given, devices = RULES.given(options, words, environment or {}), [*CARDS][:cards]
    if shape is None:
        return RULES.reserved(given, devices=devices, capacity=capacity)
    return RULES.estimate(shape, given, draft=None, projector=0, devices=devices, capacity=capacity)


def test_without_a_card_it_is_its_weights_as_they_are_loaded_its_cache_and_itself() -> None:
    def ram(**options: Any) -> int:
        return need(kv_cache_memory_bytes=GIB, **options).ram

    own = ram(dtype="float32") - 1000 * MIB - GIB
    assert 1 * GIB < own < 2 * GIB
    assert ram() == ram(dtype="bfloat16") == own + 500 * MIB + GIB
    assert ram(quantization="fp8") == own + 250 * MIB + GIB
    assert ram(tensor_parallel_size=2) > ram()


def test_what_is_stored_quantized_is_loaded_as_it_is() -> None:
    shape = replace(SHAPE, types={"I32": SHAPE.weights - 100 * MIB, "F16": 100 * MIB})

    assert need(shape, kv_cache_memory_bytes=1).ram - need(
        replace(SHAPE, layer_bytes=(), other_bytes=0), kv_cache_memory_bytes=1
    ).ram == 1000 * MIB  # fmt: skip


def test_its_cache_is_as_the_environment_and_the_options_say() -> None:
    one = need(kv_cache_memory_bytes=str(GIB)).ram

    assert need(kv_cache_memory_bytes="2G").ram == one + GIB
    assert need(environment={"VLLM_CPU_KVCACHE_SPACE": "3"}, kv_cache_memory_bytes=1).ram == (
        one + 2 * GIB
    )
    assert need(words=("serve", "--kv-cache-memory-bytes", "2G")).ram == one + GIB
    assert need(extra_args=["--kv-cache-memory-bytes=2G"]).ram == one + GIB


def test_without_a_cache_of_its_own_it_takes_a_share_of_the_ram_as_far_as_that_may_be_used() -> (
    None
):
    machine = Capacity(ram=100 * GIB, ram_budget=90 * GIB)

    assert need(capacity=machine).ram == need(None, capacity=machine).ram == 90 * GIB
    assert need(capacity=machine, gpu_memory_utilization=0.5).ram == 50 * GIB
    assert need(capacity=replace(machine, ram_budget=None)).ram == 92 * GIB
    assert need(capacity=replace(machine, other_gpus=True)).ram < 4 * GIB


def test_on_a_card_it_takes_its_share_whatever_the_model_is() -> None:
    for shape in (F32, None):
        assert need(shape, cards=1).gpus == {"gpu0": 72 * GIB}, "not more than may be used"
        half = need(shape, cards=1, gpu_memory_utilization=0.5)
        assert (half.gpus, half.ram) == ({"gpu0": 40 * GIB}, 3 * GIB)
    assert need(cards=1, capacity=replace(ALL, gpu_budgets={})).gpus == {
        "gpu0": int(80 * GIB * 0.92)
    }


def test_it_uses_as_many_cards_as_it_has_parts_and_those_that_it_sees() -> None:
    half: dict[str, Any] = {"gpu_memory_utilization": 0.5}

    assert need(cards=3, **half).gpus == {"gpu0": 40 * GIB}
    assert need(cards=3, tensor_parallel_size=2, **half).gpus == {
        "gpu0": 40 * GIB,
        "gpu1": 20 * GIB,
    }
    assert need(cards=3, environment={"CUDA_VISIBLE_DEVICES": "2"}, **half).gpus == {
        "gpu2": 40 * GIB
    }
    assert len(need(cards=3, tensor_parallel_size=2, pipeline_parallel_size=2, **half).gpus) == 3


def test_a_cache_of_its_own_is_no_share_of_the_card() -> None:
    taken = need(cards=1, kv_cache_memory_bytes="4G").gpus["gpu0"]

    assert taken == 500 * MIB + 4 * GIB + 2 * GIB
    assert need(cards=1, kv_cache_memory_bytes="4G", cpu_offload_gb=2).ram == 5 * GIB
