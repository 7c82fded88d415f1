"""An instance, as it stands now."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from llamactl.core.lifecycle import State

Status = Literal["stopped", "running", "failed", "starting", "stopping", "restarting"]


class DrainBody(BaseModel):
    """Requests that an instance finishes before it stops."""

    leases: int = Field(description="requests that are still being answered")
    ends_by: float = Field(description="Unix seconds at which they are cut")


class ServedRequestBody(BaseModel):
    """A request that an engine was serving when it crashed."""

    id: str = Field(description="as in `X-Request-Id` of its answer")
    key: str = Field(description="the id of its inference key; empty without one")
    key_name: str = Field(description="the name of that key")


class FailureBody(BaseModel):
    """Why the last process failed."""

    class_: str = Field(
        alias="class",
        serialization_alias="class",
        description="the kind of failure, such as out_of_memory",
    )
    advice: str = Field(description="what to do about it")
    exit_code: int | None = Field(
        description="of the process; null: it ended by a signal, or never ran"
    )
    signal: int | None = Field(description="that ended the process; null: none")
    log_tail: list[str] = Field(description="the last lines that it wrote, secrets masked")
    requests: list[ServedRequestBody] = Field(
        default_factory=list, description="that it was serving when it crashed, some at most"
    )


class MemoryBody(BaseModel):
    """Bytes that a running instance is taken to need: estimated first, then measured."""

    ram: int = Field(description="bytes of RAM of its own")
    shared: int = Field(description="mapped files, which instances of one model share")
    gpus: dict[str, int] = Field(description="bytes by GPU")


class InstanceBody(BaseModel):
    """An instance, as it stands now."""

    name: str = Field(description="its name, the `model` of requests")
    status: Status = Field(description="in the API reference's words")
    created: int = Field(description="Unix seconds")
    id: str = Field(description="which stays the same as long as it exists")
    state: State = Field(description="the exact one")
    desired: str = Field(description="what is wanted: running, or off until it is asked for")
    since: float = Field(description="Unix seconds when the state was entered")
    message: str = Field(description="why, where there is something to say")
    failure: FailureBody | None = Field(description="of the last process, if it failed")
    allowed_actions: list[str] = Field(description="those that would change something now")
    leases: int = Field(description="requests that it is answering")
    waiting: int = Field(description="requests that wait for it to be ready")
    idle_left_s: float | None = Field(
        description="seconds until it is stopped as idle, if nobody asks for it; null: it is not"
    )
    drain: DrainBody | None = Field(description="while it finishes requests before it stops")
    memory: MemoryBody = Field(description="what it is taken to need")
    generation: int = Field(description="number of its present or last process")
    port: int | None = Field(description="that its engine listens on")
    pid: int | None = Field(description="of its engine; null: none runs")
    engine: str = Field(description="which engine serves, or served last")
    command: list[str] = Field(description="command line of the present or last process")
    restarts: int = Field(description="since it last ran well")
    options: dict[str, Any] = Field(description="as create and update take them, secrets masked")
    declared: bool = Field(description="in a file of instances.configs_dir")


class VictimBody(BaseModel):
    """An instance that would be stopped to make room."""

    name: str = Field(description="of the instance")
    leases: int = Field(description="requests that it may finish first")


class PlanBody(BaseModel):
    """What would be done, and why."""

    action: Literal["serve", "start", "evict", "wait", "refuse"] = Field(
        description="what would be done"
    )
    reason: str = Field(description="why")
    evict: list[VictimBody] = Field(description="instances that would be stopped for it")
    ahead: int = Field(description="instances that get their place first")
    wait_s: float | None = Field(description="about how long until it is ready; null: unknown")
    retry_after_s: float | None = Field(description="when a request may try again")
    memory: MemoryBody = Field(description="what it is taken to need")


class PreviewBody(BaseModel):
    """What a definition would be. Bytes are those of one instance of it."""

    exists: bool = Field(description="it would change this one")
    command: list[str] = Field(description="secrets masked")
    problem: str = Field(description="why there is no command")
    restarts: bool = Field(description="what runs now would be restarted, after its requests")
    ram: int = Field(description="bytes of RAM of its own")
    shared: int = Field(description="mapped files, which instances of one model share")
    gpus: dict[str, int] = Field(description="bytes by GPU")
    fits: bool | None = Field(description="with nothing else running; null: unknown")
    budget: int | None = Field(description="RAM that instances may take together")
