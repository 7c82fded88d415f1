"""An instance in its current state."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from llamactl.core.lifecycle import State

Status = Literal["stopped", "running", "failed", "starting", "stopping", "restarting", "asleep"]

_CONTEXT_OBSTACLE = (
    "why its contexts are lost when it stops, and what to do; empty if they are kept, if that is "
    "not wanted, or if nothing is known yet"
)
_SLEEP_OBSTACLE = (
    "why it stops when it is idle, though its idle_action is sleep, and what to do; empty if it "
    "sleeps, if that is not wanted, or if nothing is known yet"
)


class DrainBody(BaseModel):
    """Requests that an instance finishes before it stops."""

    leases: int = Field(description="requests still running")
    ends_by: float = Field(description="Unix seconds at which they are aborted")


class ServedRequestBody(BaseModel):
    """A request that an engine was serving when it crashed."""

    id: str = Field(description="ID, as in `X-Request-Id` of its response")
    key: str = Field(description="ID of its inference key; empty if none")
    key_name: str = Field(description="name of that key")


class FailureBody(BaseModel):
    """Why the last process failed."""

    class_: str = Field(
        alias="class",
        serialization_alias="class",
        description="the kind of failure, such as out_of_memory",
    )
    advice: str = Field(description="advice on what to do")
    exit_code: int | None = Field(
        description="exit code of the process; null if it was ended by a signal or never ran"
    )
    signal: int | None = Field(description="signal that ended the process; null if none")
    error_line: str = Field(
        "", description="line of its log that explains the failure best, secrets masked"
    )
    log_tail: list[str] = Field(description="last lines of its log, secrets masked")
    requests: list[ServedRequestBody] = Field(
        default_factory=list,
        description="requests that it was serving when it crashed; the number is limited",
    )


class MemoryBody(BaseModel):
    """Memory that a running instance is expected to need: first estimated, then measured."""

    ram: int = Field(description="private memory in bytes")
    shared: int = Field(description="mapped files in bytes, shared by instances of one model")
    gpus: dict[str, int] = Field(description="bytes per GPU")


class InstanceBody(BaseModel):
    """An instance in its current state."""

    name: str = Field(description="name of the instance: the `model` in requests")
    status: Status = Field(description="summary of `state`, as in the API reference")
    created: int = Field(description="Unix seconds")
    id: str = Field(description="ID, which never changes")
    state: State = Field(description="exact state")
    desired: str = Field(description="desired state: running, or off until requested")
    since: float = Field(description="Unix seconds when the state was entered")
    message: str = Field(description="explanation of the state, if any")
    failure: FailureBody | None = Field(description="failure of the last process, if it failed")
    allowed_actions: list[str] = Field(description="actions that would have an effect now")
    leases: int = Field(description="running requests")
    waiting: int = Field(description="requests waiting for it to be ready")
    idle_left_s: float | None = Field(
        description="seconds until it is stopped as idle without requests; null if it won't be"
    )
    drain: DrainBody | None = Field(description="set while it finishes requests before stopping")
    memory: MemoryBody = Field(description="memory that it is expected to need")
    held: MemoryBody | None = Field(
        None, description="memory that counts as its own now; null without a process"
    )
    generation: int = Field(description="number of its current or last process")
    port: int | None = Field(description="port of its engine")
    pid: int | None = Field(description="process ID of its engine; null if not running")
    engine: str = Field(description="engine that serves it, or last did")
    node: str = Field("", description="name of the machine that it runs on")
    replica_of: str = Field(
        "", description="instance whose requests it serves as one more replica; empty if none"
    )
    image: str = Field("", description="container image that it runs in; empty if in none")
    command: list[str] = Field(description="command line of the current or last process")
    restarts: int = Field(description="restarts since it last ran stably")
    options: dict[str, Any] = Field(description="options, as for create and update, secrets masked")
    declared: bool = Field(description="whether it is declared in a file in instances.configs_dir")
    context_obstacle: str = Field("", description=_CONTEXT_OBSTACLE)
    sleep_obstacle: str = Field("", description=_SLEEP_OBSTACLE)


class VictimBody(BaseModel):
    """An instance that would be stopped to make room."""

    name: str = Field(description="name of the instance")
    leases: int = Field(description="requests that it can finish first")


class PlanBody(BaseModel):
    """What would happen, and why."""

    action: Literal["serve", "start", "evict", "wait", "refuse"] = Field(
        description="action that would be taken"
    )
    reason: str = Field(description="why")
    evict: list[VictimBody] = Field(description="instances that would be stopped to make room")
    node: str = Field("", description="machine that it runs on, or would start on; empty if none")
    nodes: dict[str, str] = Field(
        {},
        description="machines that it may run on, and why it can't start there; empty if it can",
    )
    ahead: int = Field(description="number of instances that get their place first")
    wait_s: float | None = Field(description="estimated seconds until it is ready; null if unknown")
    retry_after_s: float | None = Field(description="seconds after which a request can be retried")
    memory: MemoryBody = Field(description="memory that it is expected to need")
    context_obstacle: str = Field("", description=_CONTEXT_OBSTACLE)
    sleep_obstacle: str = Field("", description=_SLEEP_OBSTACLE)


class PreviewBody(BaseModel):
    """The effect of a definition. Memory is for one instance."""

    exists: bool = Field(description="whether it would change an existing instance")
    command: list[str] = Field(description="command line, secrets masked")
    problem: str = Field(description="why the command can't be shown")
    obstacle: str = Field(
        "", description="why a start would fail now, and what to do; empty if nothing is known"
    )
    restarts: bool = Field(
        description="whether the running instance would be restarted, after its requests"
    )
    ram: int = Field(description="private memory in bytes")
    shared: int = Field(description="mapped files in bytes, shared by instances of one model")
    gpus: dict[str, int] = Field(description="bytes per GPU")
    fits: bool | None = Field(
        description="whether it fits with nothing else running; null if unknown"
    )
    budget: int | None = Field(description="memory limit for all instances together")
    context_obstacle: str = Field("", description=_CONTEXT_OBSTACLE)
    sleep_obstacle: str = Field("", description=_SLEEP_OBSTACLE)
