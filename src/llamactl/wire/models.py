"""Model files and downloads."""

from __future__ import annotations

from pydantic import BaseModel, Field

from llamactl.core.downloads import JobState


class ModelBody(BaseModel):
    """A model on this machine."""

    name: str = Field(description="org/repo:QUANT, or a file's path in its folder")
    path: str = Field(description="what an instance is given as `model`")
    files: list[str] = Field(description="paths of all its parts")
    size: int = Field(description="bytes")
    modified: float = Field(description="Unix seconds")
    repo: str = Field(description="of what is in the hub's cache")
    quant: str = Field(description="its quantisation")
    mmproj: str | None = Field(description="the projector that goes with it")
    used_by: list[str] = Field(description="instances")


class FitBody(BaseModel):
    """Bytes that an instance of it would take, and whether there is so much here."""

    ctx_size: int = Field(description="tokens of context that this counts with")
    ram: int = Field(description="bytes of RAM of its own")
    shared: int = Field(description="mapped files, which instances of one model share")
    gpus: dict[str, int] = Field(description="bytes by GPU")
    fits: bool | None = Field(description="with nothing else running; null: unknown")
    budget: int | None = Field(description="RAM that instances may take together")


class InspectionBody(BaseModel):
    """What a GGUF file says of itself."""

    path: str = Field(description="of the file")
    name: str = Field(description="that it gives itself")
    kind: str = Field(description="model, mmproj or adapter")
    architecture: str = Field(description="such as llama or qwen3")
    parameters: int = Field(description="how many weights it has")
    quantization: str = Field(description="of most of its weights")
    size: int = Field(description="bytes, of all parts")
    parts: int = Field(description="files that it is split into")
    context_length: int = Field(description="tokens that it was trained on")
    layers: int = Field(description="blocks of the network")
    embedding_length: int = Field(description="width of a token's vector")
    heads: int = Field(description="of attention")
    kv_heads: list[int] = Field(description="by layer")
    vocabulary: int = Field(description="tokens that it knows")
    tokenizer: str = Field(description="kind of tokenizer")
    chat_template: str = Field(description="in Jinja")
    license: str = Field(description="as it names it")
    mmproj: str | None = Field(description="path of the projector beside it; null: none")
    memory: FitBody = Field(description="what an instance of it takes")


class DownloadRequest(BaseModel, extra="forbid"):
    """What to fetch."""

    model: str = Field(description="org/repo, org/repo:quant or org/repo/file.gguf", max_length=500)


class JobBody(BaseModel):
    """A download."""

    id: str = Field(description="of the download")
    model: str = Field(description="as it was asked for")
    state: JobState = Field(description="how far it is")
    created: float = Field(description="Unix seconds")
    finished: float | None = Field(description="Unix seconds; null: it is not over")
    error: str = Field(description="why it failed")
    warning: str = Field(description="that it may not fit, say")
    name: str = Field(description="of the model, once it is chosen")
    choices: list[str] = Field(description="what else there was")
    files: list[str] = Field(description="that are fetched")
    path: str = Field(description="of the finished model")
    total: int = Field(description="bytes")
    done: int = Field(description="bytes that are here")
    rate: float = Field(description="bytes a second")
    left_s: float | None = Field(description="seconds that it will take yet")


class FoundBody(BaseModel):
    """A repository of the hub."""

    repo: str = Field(description="org/repo")
    downloads: int = Field(description="recently, as the hub counts")
    likes: int = Field(description="as the hub counts")
    gated: bool = Field(description="its terms must be accepted at the hub first")


class ChoiceBody(BaseModel):
    """A model of a repository."""

    quant: str = Field(description="its quantisation")
    file: str = Field(description="the first, or only, file")
    size: int = Field(description="bytes, of all parts")
    parts: int = Field(description="files that it is split into")
    fits: bool | None = Field(description="by its size only; null: unknown")


class RepositoryBody(BaseModel):
    """What a repository of the hub has."""

    choices: list[ChoiceBody] = Field(description="models to choose from")
    mmproj: bool = Field(description="has a projector, to see images with")
