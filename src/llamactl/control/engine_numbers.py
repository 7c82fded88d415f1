"""What engines count, for `/metrics`, and to see how busy they are."""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.backends import backend_of
from llamactl.control.lifecycle.replica import Replica
from llamactl.core.errors import UnknownProcess
from llamactl.observe.engine_numbers import total
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


async def engine_load(replica: Replica) -> tuple[int, int] | None:
    """Requests that its engine works on, and those in its queue; None if it doesn't say."""
    texts = (await engine_numbers(replica)).values()
    names = backend_of(replica.instance.options.backend_type).metric_names
    running = [total(text, names, "requests_running") for text in texts]
    waiting = [total(text, names, "requests_waiting") for text in texts]
    if not texts or None in running or None in waiting:
        return None
    return round(sum(filter(None, running))), round(sum(filter(None, waiting)))
