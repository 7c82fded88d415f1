"""What a request, or a start by hand, would do now, and why: the decision without the deed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llamactl.config import Settings
from llamactl.control.lifecycle.registry import Member
from llamactl.control.scheduling.scheduler import Plan, Scheduler
from llamactl.control.scheduling.start_queue import Asker
from llamactl.core.instance import policies
from llamactl.core.lifecycle import State
from llamactl.policy.admission import Admit, Evict, Refuse

Action = Literal["serve", "start", "evict", "wait", "refuse"]
_STARTING = (State.STARTING, State.BACKOFF, State.LOST)
_GOING = (State.DRAINING, State.STOPPING)


@dataclass(frozen=True, slots=True)
class Outlook:
    action: Action
    reason: str
    victims: Sequence[Member] = ()
    ahead: int = 0  # instances that get their place first
    wait_s: float | None = None  # about how long until it is ready; None: unknown
    retry_after_s: float | None = None


def outlook(
    member: Member, asker: Asker, scheduler: Scheduler, settings: Settings, *, request: bool
) -> Outlook:
    """`request`: for a request rather than a start by hand."""
    now, clock = member.unit.runner.now, time.monotonic()
    if now.state is State.READY:
        return Outlook("serve", "it is running", wait_s=0.0)
    if now.state in _STARTING:
        left = max(0.0, member.entered_at + (now.retry_in or member.load_s) - clock)
        known = member.load_s > 0 or now.state is State.BACKOFF
        return Outlook("wait", f"it is already {now.state}", wait_s=left if known else None)
    if request and (refusal := _refusal(member, settings, clock)):
        return refusal
    plan = scheduler.plan(member, asker)
    if now.state in _GOING and isinstance(plan.decision, Admit):
        return Outlook("wait", f"it is {now.state}, and will be started again after that")
    return _told(member, plan, clock, asker)


def _refusal(member: Member, settings: Settings, clock: float) -> Outlook | None:
    if not policies(member.instance.options, settings.instances.defaults).on_demand_start:
        return Outlook("refuse", "it is not running and on_demand_start is off")
    left = member.breaker.retry_after(clock, settings.instances.failure_cool_down)
    if member.unit.runner.now.state is not State.FAILED or left == 0:
        return None
    last = member.unit.last_exit
    reason = last.summary if last else "it failed"
    return Outlook("refuse", f"its last start failed: {reason}", retry_after_s=left)


def _told(member: Member, plan: Plan, clock: float, asker: Asker) -> Outlook:
    load = member.load_s or None
    match plan.decision:
        case Admit(reason=reason):
            return Outlook("start", reason, ahead=plan.ahead, wait_s=load)
        case Evict(reason=reason):
            return Outlook("evict", reason, plan.victims, plan.ahead, load)
        case Refuse(reason=reason):
            return Outlook("refuse", reason, ahead=plan.ahead)
        case wait if not (asker.waits or (asker.may_evict and wait.comes_free)):
            return Outlook("refuse", wait.reason, ahead=plan.ahead)
        case wait:
            until = None if wait.until is None else max(0.0, wait.until - clock)
            wait_s = None if until is None or load is None else until + load
            return Outlook("wait", wait.reason, ahead=plan.ahead, wait_s=wait_s)
