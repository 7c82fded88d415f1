"""The estimate's parts: what each option costs, and where it lies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llamactl.backends.llama_cpp.memory import estimate
from llamactl.core.instance import OptionValue
from llamactl.core.memory import Need
from llamactl.core.model import ModelFile, ModelShape
from support.model_shape import MIB, SHAPE

KV = 10 * 4 * (64 + 64) * 2  # bytes per token of context, f16


def need(shape: ModelShape = SHAPE, **options: OptionValue) -> Need:
    return estimate(shape, options)


def more(**options: OptionValue) -> int:
    """Bytes beyond those of a context of 256 tokens, without the compute buffer's."""
    narrow = {**options, "ubatch_size": 1}
    return estimate(SHAPE, narrow).ram - estimate(SHAPE, {**narrow, "ctx_size": 256}).ram


def test_the_cache_grows_with_the_context_and_its_types() -> None:
    mask = 2 * (4096 - 256)
    tokens = 4096 - 256

    assert more(ctx_size=4096) == KV * tokens + mask
    assert more(ctx_size=4096, cache_type_k="q8_0", cache_type_v="q8_0") == (
        KV * tokens * 34 // 64 + mask
    )
    assert more(ctx_size=4096, cache_type_v="f32") == KV * tokens * 3 // 2 + mask
    assert need(ctx_size=0).ram == need(ctx_size=8192).ram == need().ram
    assert need(ctx_size=4000).ram == need(ctx_size=4096).ram


def test_weights_are_shared_unless_they_are_not_mapped() -> None:
    assert need().shared == {"f": 1000 * MIB}
    assert need(mmap=False).shared == {}
    assert need(mmap=False).ram - need().ram == 1000 * MIB


def test_layers_with_a_window_keep_no_more_than_that() -> None:
    windowed = replace(SHAPE, window=512, window_pattern=2)
    half = replace(SHAPE, window=512, window_pattern=(True, False) * 5)

    def cache(shape: ModelShape, **options: OptionValue) -> int:
        none = replace(shape, kv_heads=(0,) * 10)
        return need(shape, ctx_size=8192, **options).ram - need(none, ctx_size=8192, **options).ram

    full, short = KV // 10 * 8192, KV // 10 * 1024
    assert cache(windowed) == cache(half) == 5 * full + 5 * short
    assert cache(windowed, swa_full=True) == 10 * full
    assert cache(replace(SHAPE, architecture="gemma3", window=512)) == full + 9 * short
    assert cache(windowed, parallel=4) == 5 * full + 5 * KV // 10 * (4 * 512 + 512)


def test_attention_without_flash_costs_a_matrix() -> None:
    extra = need(flash_attn="off").ram - need().ram

    assert extra == 4 * 16 * 8192 * 512


def test_a_draft_and_a_projector_add_up() -> None:
    draft = replace(SHAPE, files=(ModelFile("d", 10),), layer_bytes=(MIB,) * 10)
    both = estimate(SHAPE, {}, draft=draft, projector=7 * MIB)

    assert set(both.shared) == {"f", "d"}
    assert both.ram > need().ram + 7 * MIB + KV * 8192


@pytest.mark.parametrize("layers", [0, 4, 10, 99, -1, "all"])
def test_offloaded_layers_lie_on_the_gpus(layers: OptionValue) -> None:
    seen = estimate(SHAPE, {"gpu_layers": layers}, devices=["gpu0", "gpu1"])

    whole = 10 if layers in (99, -1, "all") else int(str(layers))
    if whole == 0:
        assert (seen.gpus, seen) == ({}, need())
    else:
        output = 50 * MIB if layers in (99, -1, "all") else 0
        weights = whole * 90 * MIB + output
        assert seen.shared == {"f": 1000 * MIB - weights}
        on_gpus = sum(seen.gpus.values()) - 2 * 300 * MIB
        assert 0 <= on_gpus - weights - KV // 10 * 8192 * whole < 100 * MIB
        assert seen.gpus["gpu0"] == seen.gpus["gpu1"]


def test_the_options_say_which_gpus() -> None:
    three = ["gpu0", "gpu1", "gpu2"]

    assert set(estimate(SHAPE, {"split_mode": "none", "main_gpu": 1}, devices=three).gpus) == {
        "gpu1"
    }
    assert set(estimate(SHAPE, {"tensor_split": [1, 0, 1]}, devices=three).gpus) == {
        "gpu0",
        "gpu2",
    }
    assert set(estimate(SHAPE, {"tensor_split": "0,1"}, devices=three).gpus) == {"gpu1"}
