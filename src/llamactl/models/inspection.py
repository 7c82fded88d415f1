"""What a model's file says of itself, for people who are about to use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamactl.core.model import ModelShape
from llamactl.models.gguf import UnreadableModel, read_header, shape_of
from llamactl.models.quantization import FILE_TYPES, TYPE_NAMES


@dataclass(frozen=True, slots=True)
class Inspection:
    path: Path
    name: str
    shape: ModelShape
    size: int  # bytes, of all parts
    parts: int
    parameters: int
    quantization: str
    tokenizer: str
    chat_template: str
    kind: str  # "model", "mmproj" (a projector) or "adapter"
    license: str


def inspect(path: Path) -> Inspection:
    """Raises UnreadableModel."""
    header, files = read_header(path)
    values = header.values
    if not _text(values, "general.architecture"):
        raise UnreadableModel(f"{path.name} does not name its architecture, so it is no model")
    return Inspection(
        path=path,
        name=_text(values, "general.name") or path.stem,
        shape=shape_of(header, files),
        size=sum(file.size for file in files),
        parts=len(files),
        parameters=header.weights,
        quantization=_quantization(values, header.kinds),
        tokenizer=_text(values, "tokenizer.ggml.model"),
        chat_template=_text(values, "tokenizer.chat_template"),
        kind=_kind(values),
        license=_text(values, "general.license"),
    )


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def _kind(values: Mapping[str, Any]) -> str:
    kind = _text(values, "general.type")
    if kind in ("mmproj", "adapter"):
        return kind
    return "mmproj" if _text(values, "general.architecture") == "clip" else "model"


def _quantization(values: Mapping[str, Any], kinds: Mapping[int, int]) -> str:
    """As the file names it, else what most of its bytes are."""
    named = values.get("general.file_type")
    if isinstance(named, int) and named in FILE_TYPES:
        return FILE_TYPES[named]
    most = max(kinds, key=lambda kind: kinds[kind], default=None)
    return TYPE_NAMES.get(most, "") if most is not None else ""
