"""How much memory llama.cpp takes for a model and its options, from the model's header.

KV cache and states as llama-kv-cache.cpp, llama-kv-cache-iswa.cpp and llama-memory-recurrent.cpp
of https://github.com/ggml-org/llama.cpp/tree/master/src allocate them. The compute
buffer, the tokenizer and the process itself are formulas fitted to what the built-in engine
reports; tests hold them to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llamactl.core.instance import OptionValue
from llamactl.core.memory import Need
from llamactl.core.model import ModelShape

_PROCESS = 30 << 20  # code and heap before a model is loaded
_DEVICE = 300 << 20  # what a GPU's driver keeps for a process
_PER_TOKEN = 240  # of the tokenizer, for each token and each merge
_DEFAULT_UBATCH, _DEFAULT_BATCH = 512, 2048
_CELLS = 256  # a cache's length is a multiple of it

# Bytes per value of a cache type, common/arg.cpp `kv_cache_types`.
_CACHE: Mapping[str, float] = {
    "f32": 4, "f16": 2, "bf16": 2, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32,
    "q4_1": 20 / 32, "q4_0": 18 / 32, "iq4_nl": 18 / 32,
}  # fmt: skip

# Every n-th layer looks at everything, the others back to the window: src/llama-model.cpp,
# `set_swa_pattern`; for files that do not say.
_PATTERNS: Mapping[str, int] = {
    "cohere2": 4, "exaone4": 4, "gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "llama4": 4,
    "olmo2": 4, "smallthinker": 4,
}  # fmt: skip

Options = Mapping[str, OptionValue]


def estimate(
    shape: ModelShape,
    options: Options,
    *,
    draft: ModelShape | None = None,
    projector: int = 0,
    devices: Sequence[str] = (),
) -> Need:
    """`projector`: bytes of the mmproj file. `devices`: GPUs that the engine would use."""
    parts = [_Part(shape, options, bool(devices))]
    if draft is not None:
        parts.append(_Part(draft, _of_draft(options), bool(devices)))
    mapped = options.get("mmap", True) is not False
    ram = _PROCESS + projector + sum(part.ram for part in parts)
    on_gpu = sum(part.on_gpu for part in parts)
    shared: dict[str, int] = {}
    for part in parts:
        if mapped:
            shared["+".join(file.identity for file in part.shape.files)] = part.weights
        else:
            ram += part.weights
    gpus = {}
    if on_gpu:
        used = _used_devices(options, devices)
        gpus = {name: _DEVICE + on_gpu // len(used) for name in used}
    return Need(ram, shared, gpus)


def unknown_devices(options: Options) -> Sequence[str]:
    """Layers that are to be offloaded do not lie in RAM, though we see no GPU that has a budget."""
    layers = options.get("gpu_layers")
    asked = isinstance(layers, int) and not isinstance(layers, bool) and layers > 0
    return ("gpu",) if asked or layers == "all" else ()


class _Part:
    """One model with its cache: the main one, or the draft."""

    def __init__(self, shape: ModelShape, options: Options, has_gpu: bool) -> None:
        self.shape = shape
        self._options = options
        self._sequences = max(1, _number(options, "parallel", 1))
        self._context = _padded(_number(options, "ctx_size", 0) or shape.context)
        self._batch = min(
            _number(options, "ubatch_size", _DEFAULT_UBATCH),
            _number(options, "batch_size", _DEFAULT_BATCH),
            self._context,
        )
        offloaded = _offloaded(options, shape.layers) if has_gpu else 0
        first = max(0, shape.layers - offloaded)
        cache = [self._cache(layer) for layer in range(shape.layers)]
        cache_on_gpu = sum(cache[first:]) if options.get("kv_offload", True) is not False else 0
        weights_on_gpu = sum(shape.layer_bytes[first:])
        if offloaded > shape.layers:
            weights_on_gpu += shape.other_bytes - shape.embedding_bytes
        self.weights = shape.weights - weights_on_gpu
        self.on_gpu = weights_on_gpu + cache_on_gpu + (self._compute() if offloaded else 0)
        tokenizer = _PER_TOKEN * (shape.vocabulary + shape.merges)
        output = 4 * shape.vocabulary * self._sequences
        self.ram = tokenizer + output + sum(cache) - cache_on_gpu
        self.ram += 0 if offloaded else self._compute()

    def _cache(self, layer: int) -> int:
        shape = self.shape
        heads = shape.kv_heads[layer] if layer < len(shape.kv_heads) else 0
        if heads == 0:
            return shape.state_bytes * self._sequences
        cells = self._context
        if self._is_windowed(layer):
            cells = min(cells, _padded(shape.window * self._sequences + self._batch))
        keys = shape.key_size * _cache_type(self._options, "cache_type_k")
        values = shape.value_size * _cache_type(self._options, "cache_type_v")
        return int(cells * heads * (keys + values))

    def _is_windowed(self, layer: int) -> bool:
        shape, pattern = self.shape, self.shape.window_pattern
        if not shape.window or self._options.get("swa_full") is True:
            return False
        if isinstance(pattern, tuple):
            return layer < len(pattern) and pattern[layer]
        every = pattern or _PATTERNS.get(shape.architecture, 1)
        return every <= 0 or (layer + 1) % every != 0 or every == 1

    def _compute(self) -> int:
        shape = self.shape
        per_token = 4 * (3 * shape.forward + 5 * shape.embedding) + 2 * self._context
        if self._options.get("flash_attn") in (False, "off", 0):
            per_token += 4 * shape.heads * self._context
        return per_token * self._batch


def _offloaded(options: Options, layers: int) -> int:
    """How many layers go to GPUs; one more than there are means the output's weights too."""
    given = options.get("gpu_layers", "auto")
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return min(given, layers + 1)
    return layers + 1


def _used_devices(options: Options, devices: Sequence[str]) -> list[str]:
    main = _number(options, "main_gpu", 0)
    if options.get("split_mode") == "none" and main < len(devices):
        return [devices[main]]
    shares = options.get("tensor_split")
    if isinstance(shares, str):
        shares = shares.replace("/", ",").split(",")
    if isinstance(shares, Sequence):
        used = [name for name, share in zip(devices, shares, strict=False) if float(share)]
        return used or list(devices)
    return list(devices)


def _of_draft(options: Options) -> dict[str, OptionValue]:
    own = {
        "ctx_size": "ctx_size_draft",
        "gpu_layers": "gpu_layers_draft",
        "cache_type_k": "cache_type_k_draft",
        "cache_type_v": "cache_type_v_draft",
    }
    result = {k: v for k, v in options.items() if k not in own}
    result |= {name: options[key] for name, key in own.items() if key in options}
    if "ctx_size" not in result and "ctx_size" in options:
        result["ctx_size"] = options["ctx_size"]
    return result


def _number(options: Options, name: str, default: int) -> int:
    value = options.get(name)
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_number and isinstance(value, int) else default


def _cache_type(options: Options, name: str) -> float:
    return _CACHE.get(str(options.get(name, "f16")), 2)


def _padded(cells: int) -> int:
    return -(-cells // _CELLS) * _CELLS
