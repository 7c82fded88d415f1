"""Is a ready engine still there? Looks now and then, and listens to requests that got nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from llamactl.core.ports.activator import Leases
from llamactl.observe.loop_clock import loop_clock

_ENOUGH = 2  # requests in a row without a byte, whatever the health endpoint says


@dataclass(frozen=True, slots=True)
class HealthRules:
    """Seconds."""

    interval: float
    unhealthy_after: float


async def until_unhealthy(
    is_healthy: Callable[[], Awaitable[bool]],
    leases: Leases,
    instance_id: str,
    rules: HealthRules,
) -> str:
    """Return why the engine must be taken for hung.

    Some engines answer nothing else while they work, so one that holds requests is not probed
    until a request has waited without an answer: then one look that fails is enough. Only time in
    which our loop ran counts.
    """
    clock = loop_clock()
    well_at = clock.now()
    seen = leases.consecutive_timeouts(instance_id)
    while True:
        pause = min(rules.interval, rules.unhealthy_after / 4)
        with suppress(TimeoutError):
            async with clock.timeout(pause):
                await leases.silent(instance_id, seen)
        seen = leases.consecutive_timeouts(instance_id)
        if seen >= _ENOUGH:
            return f"{seen} requests in a row got no byte from it"
        works = seen == 0 and leases.count(instance_id) > 0
        if works or await is_healthy():
            well_at = clock.now()
        elif seen:
            return "a request got no byte from it, nor does its health endpoint respond"
        elif clock.now() - well_at >= rules.unhealthy_after:
            return f"its health endpoint did not respond for {rules.unhealthy_after:g} s"
