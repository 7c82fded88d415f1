"""From what the server knows to what it says."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.preview import Fit
from llamactl.core.instance import InstanceOptions, replica_of
from llamactl.core.keys import ApiKey
from llamactl.core.lifecycle import LOADED, WITHOUT_PROCESS, State, allowed_actions
from llamactl.core.memory import Need
from llamactl.core.secrets.masking import masked
from llamactl.policy.scheduling.node_memory import of_node
from llamactl.schemas.instances import DrainBody, FailureBody, InstanceBody, MemoryBody

_IN_ITS_OWN_WAY = ("backend_type", "backend_options", "environment", "container")
_OTHERS = [one for one in fields(InstanceOptions) if one.name not in _IN_ITS_OWN_WAY]
_MAY_BE_UNSAID = [one.name for one in _OTHERS if one.default is None]
_MAY_BE_EMPTY = [one.name for one in _OTHERS if one.default is not None]


def memory_body(managed: ManagedInstance) -> MemoryBody:
    return _memory_body(managed, managed.need)


def _held(managed: ManagedInstance) -> MemoryBody | None:
    has_none = managed.replica.runner.now.state in WITHOUT_PROCESS
    return None if has_none else _memory_body(managed, managed.taken)


def _memory_body(managed: ManagedInstance, memory: Need) -> MemoryBody:
    need = of_node(memory, managed.replica.context.node.id)
    return MemoryBody(ram=need.ram, shared=sum(need.shared.values()), gpus=dict(need.gpus))


def fit_fields(fit: Fit) -> dict[str, Any]:
    need = fit.need
    return {
        "ram": need.ram, "shared": sum(need.shared.values()), "gpus": dict(need.gpus),
        "fits": fit.fits, "budget": fit.budget,
    }  # fmt: skip


def instance_body(managed: ManagedInstance, leases: int) -> InstanceBody:
    instance, replica = managed.instance, managed.replica
    now = replica.runner.now
    last = None if now.state in LOADED else replica.last_exit  # an old failure is past
    drains = now.state is State.DRAINING
    ends_by = round(replica.runner.since + replica.drain_limit, 3)
    more_of = replica_of(instance.name)
    return InstanceBody(
        name=instance.name,
        status=managed.status,
        created=instance.created,
        id=instance.id,
        state=now.state,
        desired=now.desired,
        since=round(replica.runner.since, 3),
        message=last.explanation if last else "",
        failure=FailureBody.model_validate(last.details()) if last else None,
        allowed_actions=[*allowed_actions(now), *([] if more_of else ["delete"])],
        leases=leases,
        waiting=len(managed.waiting),
        idle_left_s=None if replica.idle_left is None else round(replica.idle_left, 1),
        drain=DrainBody(leases=leases, ends_by=ends_by) if drains else None,
        memory=memory_body(managed),
        held=_held(managed),
        generation=now.generation,
        port=replica.engine.port,
        pid=replica.pid,
        engine=replica.engine.label,
        node=replica.context.name,
        replica_of=more_of,
        image=replica.image,
        command=masked(list(replica.engine.argv)),
        restarts=now.restarts,
        options=given_options(managed),
        declared=bool(instance.source),
        context_obstacle=replica.context.context_obstacle(instance),
        sleep_obstacle=replica.context.sleep_obstacle(instance),
    )


def given_options(managed: ManagedInstance, *, show: bool = False) -> dict[str, Any]:
    """What was given for the instance, as create and update take it; secrets masked or not."""
    given = managed.instance.options
    body: dict[str, Any] = {
        "backend_type": given.backend_type,
        "backend_options": dict(given.backend_options),
    }
    for name in _MAY_BE_UNSAID:
        if (value := getattr(given, name)) is not None:
            body[name] = value
    if given.environment:
        body["environment"] = dict(given.environment)
    if given.container is not None:
        body["container"] = given.container.given
    for name in _MAY_BE_EMPTY:
        if value := getattr(given, name):
            body[name] = [*value] if isinstance(value, tuple) else value
    shown: dict[str, Any] = body if show else masked(body)
    return shown


def key_fields(key: ApiKey) -> dict[str, Any]:
    names = ("id", "name", "permission_mode", "created_at", "expires_at", "last_used_at",
             "priority")  # fmt: skip
    return {name: getattr(key, name) for name in names}
