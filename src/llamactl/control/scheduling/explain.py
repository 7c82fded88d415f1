"""What a request, or a start by hand, would do now, and why: the decision without the deed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from llamactl.config import Settings, SettingsHolder
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.scheduling.findings import Findings
from llamactl.control.scheduling.scheduler import Plan, Scheduler
from llamactl.control.scheduling.start_queue import StartRequester
from llamactl.core.instance import policies
from llamactl.core.lifecycle import COMING, GOING, State
from llamactl.policy.scheduling.admission import Admit, Evict, Refuse, next_out

Action = Literal["serve", "start", "evict", "wait", "refuse"]


@dataclass(frozen=True, slots=True)
class StartPlan:
    action: Action
    reason: str
    victims: Sequence[ManagedInstance] = ()
    ahead: int = 0  # instances that get their place first
    wait_s: float | None = None  # about how long until it is ready; None: unknown
    retry_after_s: float | None = None
    node: str = ""  # where it would start, by its id; "": where it is
    nodes: Mapping[str, str] = field(default_factory=dict)  # what keeps it from each, by name


def outlook(
    managed: ManagedInstance,
    asker: StartRequester,
    scheduler: Scheduler,
    settings: Settings,
    findings: Findings | None = None,
    *,
    request: bool,
) -> StartPlan:
    """`request`: for a request rather than a start by hand."""
    now, clock = managed.replica.runner.now, time.monotonic()
    if now.state is State.READY:
        return StartPlan("serve", "it is running", wait_s=0.0)
    if now.state is State.FALLING_ASLEEP:
        return StartPlan("start", "it is falling asleep, and is woken", wait_s=None)
    if now.state in COMING:
        left = max(0.0, managed.entered_at + (now.retry_in or managed.load_s) - clock)
        known = managed.load_s > 0 or now.state is State.BACKOFF
        return StartPlan("wait", f"it is already {now.state}", wait_s=left if known else None)
    if request and (refusal := _refusal(managed, settings, clock)):
        return refusal
    plan = scheduler.plan(managed, asker, findings)
    if now.state in GOING and isinstance(plan.decision, Admit):
        return StartPlan("wait", f"it is {now.state}, and will be started again after that")
    return _told(managed, plan, clock, asker)


def next_out_of(scheduler: Scheduler, held: SettingsHolder) -> dict[str, str]:
    """By device: the id of who leaves first if a request needs room there."""
    if not held.current.instances.enable_lru_eviction:
        return {}
    return next_out(scheduler.places.occupants(scheduler.evictions.leaving))


def _refusal(managed: ManagedInstance, settings: Settings, clock: float) -> StartPlan | None:
    if not policies(managed.instance.options, settings.instances.defaults).on_demand_start:
        return StartPlan("refuse", "it is not running and on_demand_start is off")
    left = managed.breaker.retry_after(clock, settings.instances.failure_cool_down)
    if managed.replica.runner.now.state is not State.FAILED or left == 0:
        return None
    last = managed.replica.last_exit
    reason = last.summary if last else "it failed"
    return StartPlan("refuse", f"its last start failed: {reason}", retry_after_s=left)


def _told(managed: ManagedInstance, plan: Plan, clock: float, asker: StartRequester) -> StartPlan:
    load = managed.load_s or None
    match plan.decision:
        case Admit(reason=reason, node=node):
            return StartPlan("start", reason, ahead=plan.ahead, wait_s=load, node=node)
        case Evict(reason=reason, node=node):
            return StartPlan("evict", reason, plan.victims, plan.ahead, load, node=node)
        case Refuse(reason=reason):
            return StartPlan("refuse", reason, ahead=plan.ahead)
        case wait if not (asker.waits or (asker.may_evict and wait.comes_free)):
            return StartPlan("refuse", wait.reason, ahead=plan.ahead)
        case wait:
            until = None if wait.until is None else max(0.0, wait.until - clock)
            wait_s = None if until is None or load is None else until + load
            return StartPlan("wait", wait.reason, ahead=plan.ahead, wait_s=wait_s)
