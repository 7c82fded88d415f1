"""What a model file's header tells of its size. Sizes are bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf\Z")
_MOST_PARTS = 1000


def part_names(name: str) -> list[str]:
    """The files that belong to a model's file, itself among them: more if it is split.

    Named as llama.cpp's `gguf-split` does. Raises ValueError for a number that is not believed.
    """
    found = _PART.search(name)
    if found is None:
        return [name]
    count = int(found.group(2))
    if not 1 <= count <= _MOST_PARTS:
        raise ValueError(f"{name} is said to have {count} parts")
    stem = name[: found.start()]
    return [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


@dataclass(frozen=True, slots=True)
class ModelFile:
    identity: str  # changes when the file does
    size: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    architecture: str
    files: tuple[ModelFile, ...]
    layers: int
    layer_bytes: tuple[int, ...]  # weights, by layer
    other_bytes: int  # all other weights
    embedding_bytes: int  # of those, what is looked up by token and stays in RAM
    context: int  # tokens that it was trained for
    embedding: int
    forward: int
    heads: int
    kv_heads: tuple[int, ...]  # by layer; 0 in layers without attention
    key_size: int  # values per head and token
    value_size: int
    window: int = 0  # tokens that a layer with a sliding window looks back
    # which layers have one, or every how many one has not; 0: the architecture says
    window_pattern: tuple[bool, ...] | int = 0
    vocabulary: int = 0
    merges: int = 0
    state_bytes: int = 0  # of a recurrent layer, for one sequence

    @property
    def weights(self) -> int:
        return sum(self.layer_bytes) + self.other_bytes
