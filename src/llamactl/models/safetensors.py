"""What a folder in Hugging Face's layout says of its model: its config, and its files' headers.

https://github.com/huggingface/safetensors#format. Files may be hostile: sizes are checked before
use, and the work is bounded.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from llamactl.core.model import ModelFacts, ModelFile, ModelShape
from llamactl.models.gguf import UnreadableModel, identify

_SUFFIX = ".safetensors"
_MOST_FILES = 1000
_MOST_HEADER = 100 << 20  # bytes, as the format has it
_MOST_TEXT = 4 << 20  # bytes of a config
_MOST_TENSORS = 1 << 18
_MOST_NUMBER = 1 << 32
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.(\d+)\.")
_EMBEDDING = re.compile(r"(embed_tokens|wte|word_embeddings|tok_embeddings)\.weight$")
_BITS: Mapping[str, int] = {
    "F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16,
    "I16": 16, "U16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def files_in(folder: Path) -> list[Path]:
    """Its weights, without copies that another format's readers want. Raises UnreadableModel."""
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == _SUFFIX)
    except OSError as exc:
        raise UnreadableModel(f"{folder.name}: {exc.strerror}") from exc
    listed = _listed(folder)
    found = [path for path in found if path.name in listed] if listed else found
    if not found:
        raise UnreadableModel(f"{folder.name} has no *{_SUFFIX}")
    if len(found) > _MOST_FILES:
        raise UnreadableModel(f"{folder.name} has more than {_MOST_FILES} files")
    return found


def read_folder(folder: Path) -> ModelFacts:
    """Raises UnreadableModel."""
    config = _text_config(_object(folder / "config.json"))
    paths = files_in(folder)
    layers, others, embedding, parameters = Counter[int](), 0, 0, 0
    types = Counter[str]()
    for path in paths:
        for name, kind, sides in _tensors(path):
            size = prod(sides) * _bits(kind) // 8
            types[kind] += size
            parameters += prod(sides)
            if layer := _LAYER.search(name):
                layers[int(layer[1])] += size
            else:
                others += size
                embedding += size if _EMBEDDING.search(name) else 0
    count = min(_number(config, "num_hidden_layers", default=max(layers, default=-1) + 1), 1 << 12)
    others += sum(size for layer, size in layers.items() if layer >= count)
    shape = _shape(config, tuple(map(identify, paths)), [layers[n] for n in range(count)])
    return ModelFacts(
        shape=replace(shape, other_bytes=others, embedding_bytes=embedding, types=dict(types)),
        parameters=parameters,
        quantization=_quantization(config, types),
        chat_template=_template(folder),
    )


def _shape(
    config: Mapping[str, Any], files: tuple[ModelFile, ...], layers: list[int]
) -> ModelShape:
    heads = _number(config, "num_attention_heads", "n_head")
    width = _number(config, "hidden_size", "n_embd", "d_model")
    kv = _number(config, "num_key_value_heads", default=heads)
    head = _number(config, "head_dim", default=width // heads if heads else 0)
    key = value = head
    if latent := _number(config, "kv_lora_rank"):  # one compressed row for all heads
        kv, key, value = 1, latent + _number(config, "qk_rope_head_dim"), 0
    return ModelShape(
        architecture=str(config.get("model_type", "")), files=files, layers=len(layers),
        layer_bytes=tuple(layers), other_bytes=0, embedding_bytes=0,
        context=_number(config, "max_position_embeddings", "n_positions", "max_sequence_length"),
        embedding=width, forward=_number(config, "intermediate_size", "n_inner"), heads=heads,
        kv_heads=_kv_heads(config, kv, len(layers)), key_size=key, value_size=value,
        vocabulary=_number(config, "vocab_size"),
    )  # fmt: skip


def _kv_heads(config: Mapping[str, Any], heads: int, layers: int) -> tuple[int, ...]:
    """0 in layers that are said to have no attention."""
    kinds = config.get("layer_types")
    kinds = kinds if isinstance(kinds, list) and len(kinds) == layers else ["attention"] * layers
    return tuple(heads if "attention" in str(kind) and "linear" not in str(kind) else 0
                 for kind in kinds)  # fmt: skip


def _tensors(path: Path) -> Iterator[tuple[str, str, list[int]]]:
    """Name, type and shape of each. Raises UnreadableModel."""
    size = identify(path).size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            rows = _rows(file.read(min(length, size, _MOST_HEADER)), length)
        for name, row in rows.items():
            if name != "__metadata__":
                yield name, *_row(row, size)
    except (OSError, ValueError, RecursionError) as exc:
        raise UnreadableModel(f"{path.name} is not a readable safetensors file: {exc}") from exc


def _rows(text: bytes, length: int) -> Mapping[str, Any]:
    """Raises ValueError."""
    if len(text) < length:
        raise ValueError("its header is longer than the file, or than any")
    rows = json.loads(text)
    if not isinstance(rows, Mapping) or len(rows) > _MOST_TENSORS:
        raise ValueError("its header does not list tensors")
    return rows


def _row(row: Any, size: int) -> tuple[str, list[int]]:
    """Raises ValueError."""
    match row:
        case {"dtype": str(kind), "shape": [*shape]} if all(
            isinstance(n, int) and 0 <= n <= _MOST_NUMBER for n in shape
        ):
            if prod(shape) * _bits(kind) // 8 > size:
                raise ValueError("a tensor is larger than the file")
            return kind, shape
    raise ValueError("a tensor has no type, or no shape")


def _bits(kind: str) -> int:
    return _BITS.get(kind, 8)


def _listed(folder: Path) -> set[str]:
    """The files that an index names, where there is one."""
    with suppress(UnreadableModel):
        weights = _object(folder / "model.safetensors.index.json").get("weight_map")
        return set(map(str, weights.values())) if isinstance(weights, Mapping) else set()
    return set()


def _object(path: Path) -> Mapping[str, Any]:
    """Raises UnreadableModel."""
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(_MOST_TEXT))
    except (OSError, ValueError, RecursionError) as exc:
        raise UnreadableModel(f"{path.name} can't be read: {exc}") from exc
    if not isinstance(said, Mapping):
        raise UnreadableModel(f"{path.name} is not an object")
    return said


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a model that sees as well, what it generates text with."""
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, Mapping) else config


def _number(config: Mapping[str, Any], *names: str, default: int = 0) -> int:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_NUMBER:
            return value
    return default


def _quantization(config: Mapping[str, Any], types: Mapping[str, int]) -> str:
    """As the config names it, else what most of its bytes are."""
    given = config.get("quantization_config")
    method = given.get("quant_method") if isinstance(given, Mapping) else None
    return str(method) if method else max(types, key=lambda kind: types[kind], default="")


def _template(folder: Path) -> str:
    with suppress(OSError, ValueError), (folder / "chat_template.jinja").open("rb") as file:
        return file.read(_MOST_TEXT).decode()
    with suppress(UnreadableModel):
        given = _object(folder / "tokenizer_config.json").get("chat_template")
        return given if isinstance(given, str) else ""
    return ""
