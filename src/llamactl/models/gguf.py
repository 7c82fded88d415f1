"""From the header of a GGUF file, or of all parts of a split one, to the model's shape."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamactl.core.model import ModelFile, ModelShape, part_names
from llamactl.models.header import Header, Length, Parser, TooShort

_MOST_LAYERS = 1 << 12
_MOST_NUMBER = 1 << 32  # of tokens, heads and the like
_FIRST_READ = 1 << 22  # bytes; most headers are shorter
_MOST_HEADER = 1 << 24  # four times the largest that is known


class UnreadableModel(ValueError):
    """The file is not there, or not a GGUF that we understand; the message says which."""


def read_header(path: Path) -> tuple[Header, tuple[ModelFile, ...]]:
    """Of all parts together, if it is split. Raises UnreadableModel."""
    headers, files = [], []
    for part in _parts(path):
        files.append(identify(part))
        try:
            headers.append(_read_header(part, files[-1].size))
        except (OSError, ValueError) as exc:
            raise UnreadableModel(f"{part.name} is not a readable GGUF file: {exc}") from exc
    return _together(headers), tuple(files)


def _read_header(path: Path, size: int) -> Header:
    """Not by mmap, which would end us if the file were cut while we read."""
    data, wanted = bytearray(), _FIRST_READ
    with path.open("rb", buffering=0) as file:
        while True:
            while len(data) < wanted and (chunk := file.read(wanted - len(data))):
                data += chunk
            try:
                return Parser(data, size).read()
            except OverflowError as exc:
                raise ValueError("a value is longer than the file") from exc
            except (TooShort, struct.error) as exc:
                if len(data) < wanted:
                    raise ValueError("it ends in the middle of its header") from exc
                if wanted >= _MOST_HEADER:
                    raise ValueError(f"its header is longer than {_MOST_HEADER >> 20} MiB") from exc
            wanted *= 2


def _together(headers: list[Header]) -> Header:
    whole = headers[0]
    for part in headers[1:]:
        whole.values |= {k: v for k, v in part.values.items() if k not in whole.values}
        for layer, size in part.layers.items():
            whole.layers[layer] = whole.layers.get(layer, 0) + size
        whole.others += part.others
        whole.embedding += part.embedding
        whole.weights += part.weights
        for kind, size in part.kinds.items():
            whole.kinds[kind] = whole.kinds.get(kind, 0) + size
    return whole


def files_of(path: Path) -> list[ModelFile]:
    """All parts, as they are now. Raises UnreadableModel."""
    return [identify(part) for part in _parts(path)]


def _parts(path: Path) -> list[Path]:
    try:
        return [path.with_name(name) for name in part_names(path.name)]
    except ValueError as exc:
        raise UnreadableModel(str(exc)) from exc


def identify(path: Path) -> ModelFile:
    try:
        at = os.stat(path)  # noqa: PTH116  one call for all of it
    except OSError as exc:
        raise UnreadableModel(f"{path.name}: {exc.strerror}") from exc
    if not stat.S_ISREG(at.st_mode):
        raise UnreadableModel(f"{path.name} is not a regular file")
    identity = f"{at.st_dev}:{at.st_ino}:{at.st_size}:{at.st_mtime_ns}"
    return ModelFile(identity, at.st_size, int(at.st_mtime))


def shape_of(header: Header, files: tuple[ModelFile, ...]) -> ModelShape:
    """Raises UnreadableModel for implausible values."""
    values = header.values
    architecture = str(values.get("general.architecture", ""))

    def number(name: str, default: int = 0) -> int:
        return _largest(values.get(f"{architecture}.{name}"), default)

    layers = number("block_count")
    if layers > _MOST_LAYERS:
        raise UnreadableModel(f"implausible layer count: {layers}")
    heads = number("attention.head_count")
    head_size = number("embedding_length") // heads if heads else 0
    kv_heads = values.get(f"{architecture}.attention.head_count_kv", heads)
    return ModelShape(
        architecture=architecture,
        files=files,
        layers=layers,
        layer_bytes=tuple(header.layers.get(n, 0) for n in range(layers)),
        other_bytes=header.others,
        embedding_bytes=header.embedding,
        context=number("context_length"),
        embedding=number("embedding_length"),
        forward=number("feed_forward_length"),
        heads=heads,
        kv_heads=_by_layer(kv_heads, layers),
        key_size=number("attention.key_length", head_size),
        value_size=number("attention.value_length", head_size),
        window=number("attention.sliding_window"),
        window_pattern=_pattern(values.get(f"{architecture}.attention.sliding_window_pattern")),
        vocabulary=_count(values.get("tokenizer.ggml.tokens")),
        merges=_count(values.get("tokenizer.ggml.merges")),
        state_bytes=_state_bytes(architecture, values),
    )


def _largest(value: Any, default: int) -> int:
    numbers = value if isinstance(value, list) else [value]
    found = max((n for n in numbers if isinstance(n, int)), default=default)
    if not 0 <= found <= _MOST_NUMBER:
        raise UnreadableModel(f"implausible value in the header: {found}")
    return found


def _by_layer(value: Any, layers: int) -> tuple[int, ...]:
    numbers = value if isinstance(value, list) else [value] * layers
    return tuple(_largest(n, 0) for n in numbers[:layers])


def _pattern(value: Any) -> tuple[bool, ...] | int:
    """Which layers look back no further than the window; or every how many one looks at all."""
    if isinstance(value, list):
        return tuple(bool(n) for n in value)
    return int(value) if isinstance(value, int) else 0


def _count(value: Any) -> int:
    if isinstance(value, Length):
        return value.items
    return len(value) if isinstance(value, list) else 0


def _state_bytes(architecture: str, values: Mapping[str, Any]) -> int:
    """Of a recurrent layer (Mamba and its kin) for one sequence: float32, as llama.cpp has it."""
    inner = _largest(values.get(f"{architecture}.ssm.inner_size"), 0)
    state = _largest(values.get(f"{architecture}.ssm.state_size"), 0)
    kernel = _largest(values.get(f"{architecture}.ssm.conv_kernel"), 0)
    return 4 * (inner * state + inner * max(0, kernel - 1))
