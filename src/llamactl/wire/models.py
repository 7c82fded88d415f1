"""Model files and downloads."""

from __future__ import annotations

from pydantic import BaseModel, Field

from llamactl.core.downloads import JobState


class ModelBody(BaseModel):
    name: str = Field(description="org/repo:QUANT, or a file's path in its folder")
    path: str = Field(description="what an instance is given as `model`")
    files: list[str]
    size: int = Field(description="bytes")
    modified: float = Field(description="Unix seconds")
    repo: str = Field(description="of what lies in the hub's cache")
    quant: str
    mmproj: str | None = Field(description="the projector that goes with it")
    used_by: list[str] = Field(description="instances")


class FitBody(BaseModel):
    """Bytes that an instance of it would take, and whether there is so much here."""

    ctx_size: int
    ram: int
    shared: int = Field(description="mapped files, which instances of one model share")
    gpus: dict[str, int]
    fits: bool | None = Field(description="with nothing else running; null: unknown")
    budget: int | None = Field(description="RAM that instances may take together")


class InspectionBody(BaseModel):
    path: str
    name: str
    kind: str = Field(description="model, mmproj or adapter")
    architecture: str
    parameters: int
    quantization: str
    size: int = Field(description="bytes, of all parts")
    parts: int
    context_length: int
    layers: int
    embedding_length: int
    heads: int
    kv_heads: list[int] = Field(description="by layer")
    vocabulary: int
    tokenizer: str
    chat_template: str
    license: str
    mmproj: str | None
    memory: FitBody


class DownloadRequest(BaseModel, extra="forbid"):
    model: str = Field(description="org/repo, org/repo:quant or org/repo/file.gguf", max_length=500)


class JobBody(BaseModel):
    id: str
    model: str = Field(description="as it was asked for")
    state: JobState
    created: float = Field(description="Unix seconds")
    finished: float | None
    error: str
    warning: str = Field(description="that it may not fit, say")
    name: str = Field(description="of the model, once it is chosen")
    choices: list[str] = Field(description="what else there was")
    files: list[str]
    path: str = Field(description="of the finished model")
    total: int = Field(description="bytes")
    done: int
    rate: float = Field(description="bytes a second")
    left_s: float | None = Field(description="seconds that it will take yet")


class FoundBody(BaseModel):
    """A repository of the hub."""

    repo: str
    downloads: int
    likes: int
    gated: bool = Field(description="its terms must be accepted at the hub first")


class ChoiceBody(BaseModel):
    quant: str
    file: str
    size: int = Field(description="bytes, of all parts")
    parts: int
    fits: bool | None = Field(description="by its size alone; null: unknown")


class RepositoryBody(BaseModel):
    choices: list[ChoiceBody]
    mmproj: bool = Field(description="has a projector, to see images with")
