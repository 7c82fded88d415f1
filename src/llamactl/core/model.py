"""The contents of a model file's header, and the part that users of the model may see.

Sizes are bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_PART = re.compile(r"-(\d{5})-of-(\d{5})\Z")
_SUFFIX = ".gguf"
_MOST_PARTS = 1000


def part_names(name: str) -> list[str]:
    """The files that belong to a model's file, itself among them: more if it is split.

    Named as llama.cpp's `gguf-split` does. Raises ValueError for an implausible number.
    """
    found = _PART.search(name.removesuffix(_SUFFIX)) if name.endswith(_SUFFIX) else None
    if found is None:
        return [name]
    count = int(found.group(2))
    if not 1 <= count <= _MOST_PARTS:
        raise ValueError(f"{name} claims to have {count} parts")
    stem = name[: found.start()]
    return [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def without_part(stem: str) -> str:
    """What all the files of a split model are called, without the suffix."""
    return _PART.sub("", stem)


@dataclass(frozen=True, slots=True)
class ModelFile:
    identity: str  # changes when the file does
    size: int
    modified: int = 0  # Unix seconds


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
    types: Mapping[str, int] = field(default_factory=dict)  # bytes by type; of safetensors

    @property
    def weights(self) -> int:
        return sum(self.layer_bytes) + self.other_bytes


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model file says of itself."""

    shape: ModelShape
    parameters: int
    quantization: str
    chat_template: str  # in Jinja
    infills: bool = False  # it knows the tokens of filling in the middle
    ranks: bool = False  # its head gives a score, for reranking
    sees: bool = False  # of a projector
    hears: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as an engine serves it; holds no path. 0 and "": not known."""

    capabilities: tuple[str, ...] = ()  # in Ollama's words, best known
    context: int = 0  # tokens that one request may take, answer included
    trained_context: int = 0
    size: int = 0  # of all parts
    modified: int = 0  # Unix seconds
    architecture: str = ""
    parameters: int = 0
    quantization: str = ""
    embedding: int = 0  # width of a token's vector
    layers: int = 0
    sampling: tuple[tuple[str, float], ...] = ()  # what applies to requests that don't say

    @classmethod
    def of(cls, facts: ModelFacts, capabilities: tuple[str, ...], context: int) -> ModelInfo:
        """By its files; the rest is up to the engine and its options."""
        shape = facts.shape
        return cls(
            capabilities=capabilities,
            context=context,
            trained_context=shape.context,
            size=sum(file.size for file in shape.files),
            modified=max((file.modified for file in shape.files), default=0),
            architecture=shape.architecture,
            parameters=facts.parameters,
            quantization=facts.quantization,
            embedding=shape.embedding,
            layers=shape.layers,
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """What one instance serves: a model, and adapters of it, or several models of a router.

    `models`: the adapters, or those models, by the engine's own names.
    """

    info: ModelInfo = ModelInfo()
    models: Mapping[str, ModelInfo] = field(default_factory=dict)
    several: bool = False

    @property
    def in_parts(self) -> bool:
        """Is the instance's own name none of a model, as far as is known?"""
        return self.several and bool(self.models)


NO_MODEL = Offer()
