"""What engines count, for `/metrics`."""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.control.lifecycle.replica import Replica
from llamactl.core.errors import UnknownProcess
from llamactl.observe.loop_clock import loop_clock

_WITHIN_S = 3.0  # more than a node gives an engine for it


async def engine_numbers(replica: Replica) -> Mapping[str, str]:
    """As `Node.numbers`; none of one that has ended, or whose node does not answer."""
    if (process := replica.engine.process) is None:
        return {}
    try:
        async with loop_clock().timeout(_WITHIN_S):
            return await replica.context.node.numbers(process.record.process)
    except (UnknownProcess, TimeoutError):
        return {}
