"""An instance, as it stands now."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from llamactl.core.lifecycle import State

Status = Literal["stopped", "running", "failed", "starting", "stopping", "restarting"]


class DrainBody(BaseModel):
    leases: int = Field(description="requests that are still being answered")
    ends_by: float = Field(description="Unix seconds at which they are cut")


class ServedRequestBody(BaseModel):
    id: str = Field(description="as in `X-Request-Id` of its answer")
    key: str = Field(description="the id of its inference key; empty without one")
    key_name: str = Field(description="the name of that key")


class FailureBody(BaseModel):
    class_: str = Field(alias="class", serialization_alias="class")
    advice: str
    exit_code: int | None
    signal: int | None
    log_tail: list[str]
    requests: list[ServedRequestBody] = Field(
        default_factory=list, description="that it was serving when it crashed, some at most"
    )


class MemoryBody(BaseModel):
    """Bytes that a running instance is taken to need: estimated first, then measured."""

    ram: int
    shared: int = Field(description="mapped files, which instances of one model share")
    gpus: dict[str, int]


class InstanceBody(BaseModel):
    name: str
    status: Status
    created: int = Field(description="Unix seconds")
    id: str
    state: State
    desired: str
    since: float = Field(description="Unix seconds when the state was entered")
    message: str = Field(description="why, where there is something to say")
    failure: FailureBody | None = Field(description="of the last process, if it failed")
    allowed_actions: list[str] = Field(description="those that would change something now")
    leases: int = Field(description="requests that it is answering")
    waiting: int = Field(description="requests that wait for it to be ready")
    idle_left_s: float | None = Field(
        description="seconds until it is stopped as idle, if nobody asks for it; null: it is not"
    )
    drain: DrainBody | None
    memory: MemoryBody
    generation: int
    port: int | None
    pid: int | None
    engine: str = Field(description="which engine serves, or served last")
    command: list[str] = Field(description="command line of the present or last process")
    restarts: int
    options: dict[str, Any]
    declared: bool = Field(description="in a file of instances.configs_dir")


class VictimBody(BaseModel):
    name: str
    leases: int = Field(description="requests that it may finish first")


class PlanBody(BaseModel):
    action: Literal["serve", "start", "evict", "wait", "refuse"]
    reason: str
    evict: list[VictimBody]
    ahead: int = Field(description="instances that get their place first")
    wait_s: float | None = Field(description="about how long until it is ready; null: unknown")
    retry_after_s: float | None = Field(description="when a request may try again")
    memory: MemoryBody


class PreviewBody(BaseModel):
    """What a definition would be. Bytes are those of one instance of it."""

    exists: bool = Field(description="it would change this one")
    command: list[str] = Field(description="secrets masked")
    problem: str = Field(description="why there is no command")
    restarts: bool = Field(description="what runs now would be restarted, after its requests")
    ram: int
    shared: int = Field(description="mapped files, which instances of one model share")
    gpus: dict[str, int]
    fits: bool | None = Field(description="with nothing else running; null: unknown")
    budget: int | None = Field(description="RAM that instances may take together")
