"""Model files and downloads."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field

from llamactl.core.downloads import JobKind, JobState

Fit = Literal["yes", "tight", "no"]


class ModelBody(BaseModel):
    """A model on this machine."""

    name: str = Field(description="org/repo:QUANT, or path of a file in its folder")
    path: str = Field(description="value for `model` of an instance")
    files: list[str] = Field(description="paths of all parts")
    size: int = Field(description="bytes")
    modified: float = Field(description="Unix seconds")
    repo: str = Field(description="repository, if it is in the hub's cache")
    quant: str = Field(description="quantisation")
    mmproj: str | None = Field(description="path of its projector")
    used_by: list[str] = Field(description="instances")


class FitBody(BaseModel):
    """Memory that an instance would need, and whether it fits."""

    ctx_size: int = Field(description="context size assumed, in tokens")
    ram: int = Field(description="private memory in bytes")
    shared: int = Field(description="mapped files in bytes, shared by instances of one model")
    gpus: dict[str, int] = Field(description="bytes per GPU")
    fits: bool | None = Field(
        description="whether it fits with nothing else running; null if unknown"
    )
    budget: int | None = Field(description="memory limit for all instances together")


class InspectionBody(BaseModel):
    """Metadata of a GGUF file."""

    path: str = Field(description="path of the file")
    name: str = Field(description="name in the file")
    kind: str = Field(description="model, mmproj or adapter")
    architecture: str = Field(description="such as llama or qwen3")
    parameters: int = Field(description="number of parameters")
    quantization: str = Field(description="quantisation of most weights")
    size: int = Field(description="bytes, of all parts")
    parts: int = Field(description="number of files")
    context_length: int = Field(description="context length that it was trained with, in tokens")
    layers: int = Field(description="number of layers")
    embedding_length: int = Field(description="size of the embedding vector")
    heads: int = Field(description="number of attention heads")
    kv_heads: list[int] = Field(description="key-value heads per layer")
    vocabulary: int = Field(description="number of tokens in the vocabulary")
    tokenizer: str = Field(description="kind of tokenizer")
    chat_template: str = Field(description="Jinja template")
    license: str = Field(description="licence, as named in the file")
    mmproj: str | None = Field(description="path of the projector beside it; null if none")
    memory: FitBody = Field(description="memory that an instance needs")


class DownloadRequest(BaseModel, extra="forbid"):
    """A model to download."""

    model: str = Field(description="org/repo, org/repo:quant or org/repo/file.gguf", max_length=500)


class JobBody(BaseModel):
    """A download."""

    id: str = Field(description="ID of the download")
    kind: JobKind = Field(description="what is downloaded")
    model: str = Field(description="model as requested, or reference of the image")
    state: JobState = Field(description="state of the download")
    created: float = Field(description="Unix seconds")
    finished: float | None = Field(description="Unix seconds; null if not finished")
    error: str = Field(description="why it failed")
    warning: str = Field(description="warning, for example that it may not fit")
    name: str = Field(description="name of the model, once it is known")
    choices: list[str] = Field(description="available alternatives")
    files: list[str] = Field(description="files to download")
    path: str = Field(description="path of the finished model")
    total: int = Field(description="bytes")
    done: int = Field(description="bytes downloaded")
    rate: float = Field(description="bytes per second")
    left_s: float | None = Field(description="estimated seconds left")


class StarterBody(BaseModel):
    """A good first model."""

    name: str = Field(description="for people")
    model: str = Field(description="value for a download: org/repo/file.gguf")
    repo: str = Field(description="repository on the hub")
    size: int | None = Field(description="bytes to download; null if only the hub knows")
    memory: int | None = Field(
        description="bytes of memory that it needs with a context of some thousand tokens, "
        "estimated from its size; null if the size is unknown"
    )
    fits: Fit | None = Field(
        description="whether it fits with nothing else running: `tight` leaves little memory for "
        "a context; null if unknown"
    )
    slow: bool = Field(description="whether it is slow here, because it does not fit on a GPU")
    license: str = Field(description="licence, by the hub's name")
    released: str = Field(description="year and month in which the model was published")
    purpose: str = Field(description="what it is good for")
    source: str = Field(description="URL of its page")
    checked: date = Field(description="day on which this entry was last checked")


class FoundBody(BaseModel):
    """A repository on the hub."""

    repo: str = Field(description="org/repo")
    downloads: int = Field(description="recent downloads, as counted by the hub")
    likes: int = Field(description="likes on the hub")
    gated: bool = Field(description="whether its terms must first be accepted on the hub")
    license: str = Field("", description="licence, by the hub's name; empty if it names none")
    modified: float | None = Field(None, description="Unix seconds of its last change")


class ChoiceBody(BaseModel):
    """A model in a repository."""

    quant: str = Field(description="quantisation")
    file: str = Field(description="first or only file")
    size: int = Field(description="bytes, of all parts")
    parts: int = Field(description="number of files")
    fits: bool | None = Field(description="whether it fits, judged only by size; null if unknown")
    fit: Fit | None = Field(
        None, description="the same, where `tight` leaves little memory for a context"
    )
    recommended: bool = Field(False, description="whether it is the one to choose for this machine")
    reason: str = Field("", description="why it is recommended")


class RepositoryBody(BaseModel):
    """The models in a repository on the hub."""

    choices: list[ChoiceBody] = Field(description="available models, the smallest first")
    mmproj: bool = Field(description="whether it has a projector for images")
    license: str = Field("", description="licence, by the hub's name; empty if it names none")
    modified: float | None = Field(None, description="Unix seconds of its last change")
