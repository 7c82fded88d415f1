"""What a model's file says of itself, for people who are about to use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamactl.core.model import ModelShape
from llamactl.models.facts import quantization_of, text_of
from llamactl.models.gguf import UnreadableModel, read_header, shape_of


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
    if not text_of(values, "general.architecture"):
        raise UnreadableModel(f"{path.name} names no architecture, so it is not a model")
    return Inspection(
        path=path,
        name=text_of(values, "general.name") or path.stem,
        shape=shape_of(header, files),
        size=sum(file.size for file in files),
        parts=len(files),
        parameters=header.weights,
        quantization=quantization_of(header),
        tokenizer=text_of(values, "tokenizer.ggml.model"),
        chat_template=text_of(values, "tokenizer.chat_template"),
        kind=_kind(values),
        license=text_of(values, "general.license"),
    )


def _kind(values: Mapping[str, Any]) -> str:
    kind = text_of(values, "general.type")
    if kind in ("mmproj", "adapter"):
        return kind
    return "mmproj" if text_of(values, "general.architecture") == "clip" else "model"
