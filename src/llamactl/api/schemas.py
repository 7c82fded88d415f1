"""What the management API says, as types of the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from llamactl.control.registry import Member
from llamactl.core.instance import MASK, masked
from llamactl.core.keys import ApiKey, PermissionMode
from llamactl.core.lifecycle import AfterExit, State, allowed_actions
from llamactl.core.memory import Need

Status = Literal["stopped", "running", "failed", "starting", "stopping", "restarting"]
_STATUS: dict[State, Status] = {
    State.STOPPED: "stopped",
    State.STARTING: "starting",
    State.READY: "running",
    State.DRAINING: "stopping",
    State.STOPPING: "stopping",
    State.BACKOFF: "restarting",
    State.FAILED: "failed",
    State.LOST: "failed",
}


class DrainBody(BaseModel):
    leases: int = Field(description="requests that are still being answered")
    ends_by: float = Field(description="Unix seconds at which they are cut")


class FailureBody(BaseModel):
    class_: str = Field(alias="class", serialization_alias="class")
    advice: str
    exit_code: int | None
    signal: int | None
    log_tail: list[str]


class MemoryBody(BaseModel):
    """Bytes that a running instance is taken to need: estimated first, then measured."""

    ram: int
    shared: int = Field(description="mapped files, which instances of one model share")
    gpus: dict[str, int]


def memory_body(need: Need) -> MemoryBody:
    return MemoryBody(ram=need.ram, shared=sum(need.shared.values()), gpus=dict(need.gpus))


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


def status_of(member: Member) -> Status:
    now = member.unit.runner.now
    going = now.state in (State.DRAINING, State.STOPPING)
    return "restarting" if going and now.after_exit is AfterExit.SPAWN else _STATUS[now.state]


def instance_body(member: Member, leases: int) -> InstanceBody:
    instance, unit = member.instance, member.unit
    now, last = unit.runner.now, unit.last_exit
    drains = now.state is State.DRAINING
    ends_by = round(unit.runner.since + unit.drain_limit, 3)
    return InstanceBody(
        name=instance.name,
        status=status_of(member),
        created=instance.created,
        id=instance.id,
        state=now.state,
        desired=now.desired,
        since=round(unit.runner.since, 3),
        message=last.summary if last else "",
        failure=FailureBody.model_validate(last.details()) if last else None,
        allowed_actions=[*allowed_actions(now), "delete"],
        drain=DrainBody(leases=leases, ends_by=ends_by) if drains else None,
        memory=memory_body(member.need),
        generation=now.generation,
        port=unit.port,
        pid=unit.pid,
        engine=unit.engine,
        command=list(unit.argv),
        restarts=now.restarts,
        options=given_options(member),
        declared=bool(instance.source),
    )


def given_options(member: Member, *, show: bool = False) -> dict[str, Any]:
    """What was given for the instance, as create and update take it; secrets masked or not."""
    given = member.instance.options
    body: dict[str, Any] = {
        "backend_type": given.backend_type,
        "backend_options": dict(given.backend_options) if show else masked(given.backend_options),
    }
    for name in ("auto_restart", "max_restarts", "restart_delay", "on_demand_start",
                 "idle_timeout"):  # fmt: skip
        if (value := getattr(given, name)) is not None:
            body[name] = value
    if given.environment:
        hidden = dict.fromkeys(given.environment, MASK)
        body["environment"] = dict(given.environment) if show else hidden
    if given.group:
        body["group"] = given.group
    if given.pinned:
        body["pinned"] = True
    if given.die_with_parent:
        body["die_with_parent"] = True
    if given.priority:
        body["priority"] = given.priority
    if given.command_override:
        body["command_override"] = given.command_override
    return body


class KeyRequest(BaseModel, extra="forbid"):
    name: str = Field(min_length=1, max_length=200)
    priority: int = Field(0, ge=-10, le=10, description="each step doubles its share of places")
    permission_mode: PermissionMode = PermissionMode.ALLOW_ALL
    instances: list[str] = Field(default=[], max_length=10_000)
    expires_at: int | None = Field(default=None, description="Unix seconds", le=2**62)


class KeyBody(BaseModel):
    id: str
    name: str
    permission_mode: PermissionMode
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    priority: int


class NewKeyBody(KeyBody):
    key: str = Field(description="the secret; shown this once")


class PermissionsBody(BaseModel):
    permission_mode: PermissionMode
    instances: list[str]


def key_fields(key: ApiKey) -> dict[str, Any]:
    names = ("id", "name", "permission_mode", "created_at", "expires_at", "last_used_at",
             "priority")  # fmt: skip
    return {name: getattr(key, name) for name in names}
