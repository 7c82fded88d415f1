"""What model files and folders say, kept until they change."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamactl.core.model import ModelFacts, ModelFile, ModelShape
from llamactl.models.gguf import UnreadableModel, files_of, identify, read_header, shape_of
from llamactl.models.header import Header
from llamactl.models.quantization import FILE_TYPES, TYPE_NAMES
from llamactl.models.safetensors import files_in, read_folder

_INFILLS = tuple(  # older files have no `fim_` there
    f"tokenizer.ggml.{name}_token_id" for name in ("fim_pre", "fim_suf", "prefix", "suffix")
)
_RANK = 4  # LLAMA_POOLING_TYPE_RANK of llama.cpp's include/llama.h


class GgufReader:
    """Keeps what it read, by the file's identity: a header is read once until it changes."""

    def __init__(self) -> None:
        self._read: dict[str, ModelFacts | UnreadableModel] = {}
        self._one_at_a_time = threading.Lock()  # a hostile header takes a second and memory

    def shape(self, path: Path) -> ModelShape:
        """Raises UnreadableModel."""
        return self.facts(path).shape

    def facts(self, path: Path) -> ModelFacts:
        """Raises UnreadableModel."""
        key = "\n".join(file.identity for file in files_of(path))
        with self._one_at_a_time:
            found = self._read.get(key)
            if found is None:
                try:
                    found = _facts(*read_header(path))
                except UnreadableModel as exc:
                    found = exc
                self._read[key] = found
        if isinstance(found, UnreadableModel):
            raise UnreadableModel(str(found))
        return found


class ModelReader:
    """A file is a GGUF, a folder is in Hugging Face's layout."""

    def __init__(self) -> None:
        self._files = GgufReader()
        self._folders: dict[str, ModelFacts | UnreadableModel] = {}
        self._one_at_a_time = threading.Lock()

    def shape(self, path: Path) -> ModelShape:
        """Raises UnreadableModel."""
        return self.facts(path).shape

    def facts(self, path: Path) -> ModelFacts:
        """Raises UnreadableModel."""
        if not path.is_dir():
            return self._files.facts(path)
        files = [path / "config.json", *files_in(path)]
        key = "\n".join([str(path), *(identify(file).identity for file in files)])
        with self._one_at_a_time:
            if key not in self._folders:
                try:
                    self._folders[key] = read_folder(path)
                except UnreadableModel as exc:
                    self._folders[key] = exc
            found = self._folders[key]
        if isinstance(found, UnreadableModel):
            raise UnreadableModel(str(found))
        return found


def _facts(header: Header, files: tuple[ModelFile, ...]) -> ModelFacts:
    """Raises UnreadableModel for implausible values."""
    values = header.values
    shape = shape_of(header, files)
    return ModelFacts(
        shape=shape,
        parameters=header.weights,
        quantization=quantization_of(header),
        chat_template=text_of(values, "tokenizer.chat_template"),
        infills=sum(name in values for name in _INFILLS) > 1,
        ranks=values.get(f"{shape.architecture}.pooling_type") == _RANK,
        sees=values.get("clip.has_vision_encoder") is True,
        hears=values.get("clip.has_audio_encoder") is True,
    )


def text_of(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def quantization_of(header: Header) -> str:
    """As the file names it, else what most of its bytes are."""
    named = header.values.get("general.file_type")
    if isinstance(named, int) and named in FILE_TYPES:
        return FILE_TYPES[named]
    most = max(header.kinds, key=lambda kind: header.kinds[kind], default=None)
    return TYPE_NAMES.get(most, "") if most is not None else ""
