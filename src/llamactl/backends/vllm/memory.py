"""How much memory vLLM takes: a share of a GPU, whatever the model is; else by the model.

Its arguments: https://docs.vllm.ai/en/latest/configuration/conserving_memory/. What the processes
take besides was measured on a machine without a GPU; with one, it is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llamactl.backends.vllm.reading import size_of
from llamactl.core.instance import OptionValue
from llamactl.core.memory import Capacity, Need
from llamactl.core.model import ModelShape

Options = Mapping[str, OptionValue]
_GIB = 1 << 30
_UTILIZATION = 0.92  # its default
_HOST, _WORKER = int(0.9 * _GIB), int(0.5 * _GIB)  # its processes, and each that has a part
_HOST_WITH_GPU = 3 * _GIB
_ON_GPU = 2 * _GIB  # activations and graphs, where it takes no share of it
_FLOATS: Mapping[str, int] = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16}  # bits
_LOADED_AS: Mapping[str, int] = {"float32": 32, "float": 32}  # every other dtype has 16 bits
_SMALLER: Mapping[str, int] = {"fp8": 8, "experts_int8": 8, "bitsandbytes": 4}  # made at its start
VISIBLE = "cuda_visible_devices"  # of the environment


def estimate(
    shape: ModelShape | None, options: Options, devices: Sequence[str], capacity: Capacity
) -> Need:
    """`shape`: None where it can't be read. `devices`: GPUs that we see."""
    parts = max(
        1, _count(options, "tensor_parallel_size") * _count(options, "pipeline_parallel_size")
    )
    if devices:
        return _on_gpus(shape, options, _used(devices, options, parts), capacity)
    if capacity.other_gpus:
        return Need(_HOST_WITH_GPU)
    cache = cache_bytes(options)
    if cache is None:
        return Need(_share(options, capacity.ram, capacity.ram_budget))
    return Need(_HOST + parts * _WORKER + cache + weights(shape, options))


def _on_gpus(
    shape: ModelShape | None, options: Options, used: Sequence[str], capacity: Capacity
) -> Need:
    ram = _HOST_WITH_GPU + int(
        sum(_number(options, n) for n in ("cpu_offload_gb", "kv_offloading_size")) * _GIB
    )
    cache = cache_bytes(options)
    if cache is not None:
        own = cache + _ON_GPU + weights(shape, options) // len(used)
        return Need(ram, gpus=dict.fromkeys(used, own))
    gpus = {
        name: _share(options, capacity.gpus.get(name, 0), capacity.gpu_budgets.get(name))
        for name in used
    }
    return Need(ram, gpus=gpus)


def _share(options: Options, total: int, most: int | None) -> int:
    """`most`: the budget, where that is a share as well."""
    taken = int(total * (_number(options, "gpu_memory_utilization") or _UTILIZATION))
    return taken if most is None else min(taken, most)


def cache_bytes(options: Options) -> int | None:
    """None: what is left of its share of the memory."""
    return size_of(options.get("kv_cache_memory_bytes")) or None


def weights(shape: ModelShape | None, options: Options) -> int:
    """As they are loaded, not as they are stored."""
    if shape is None:
        return 0
    bits = _LOADED_AS.get(str(options.get("dtype", "auto")), 16)
    bits = _SMALLER.get(str(options.get("quantization", "")), bits)
    floats = sum(shape.types.get(kind, 0) * bits // stored for kind, stored in _FLOATS.items())
    return floats + shape.weights - sum(shape.types.get(kind, 0) for kind in _FLOATS)


def _used(devices: Sequence[str], options: Options, parts: int) -> Sequence[str]:
    """Those of its environment, else the first."""
    named = str(options.get(VISIBLE, "")).split(",")
    seen = [f"gpu{number.strip()}" for number in named if number.strip().isdigit()]
    return ([name for name in seen if name in devices] or [*devices])[:parts]


def _count(options: Options, name: str) -> int:
    return max(1, int(_number(options, name)))


def _number(options: Options, name: str) -> float:
    """0 where there is none."""
    value = options.get(name, 0)
    try:
        return max(0.0, float(value)) if isinstance(value, str | int | float) else 0.0
    except ValueError:
        return 0.0
