"""From a transition to its event row."""

from __future__ import annotations

import time
from typing import Any

from llamactl.core import lifecycle as lc
from llamactl.core.events import InstanceEvent
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import Lifecycle, State


def row_of(
    instance: Instance,
    event: lc.Event,
    before: Lifecycle,
    after: Lifecycle,
    *,
    leases: int,
    drain_limit: float,
) -> InstanceEvent:
    """`leases`, `drain_limit`: requests that it answers now, and seconds that they may take."""
    cause, details = getattr(event, "cause", ""), dict[str, Any]()
    if isinstance(event, lc.Exited) and event.report is not None:
        asked = before.after_exit is not lc.AfterExit.APPLY_POLICY
        cause = "stop requested" if asked else event.report.summary
        details = {} if asked else event.report.details()
    if after.state in lc.GOING:
        details["leases"] = leases
    if after.state is State.DRAINING:
        details["may_take_s"] = drain_limit
    if getattr(event, "force", False):
        details["force"] = True
    return InstanceEvent(
        at=time.time(),
        instance_id=instance.id,
        name=instance.name,
        generation=after.generation,
        epoch=after.epoch,
        event=type(event).__name__,
        from_state=before.state,
        to_state=after.state,
        cause=cause,
        details=details,
    )
