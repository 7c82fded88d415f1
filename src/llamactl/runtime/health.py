"""Is a ready engine still there? Looks now and then, and listens to requests that got nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from llamactl.core.interfaces import Leases

_ENOUGH = 2  # requests in a row that waited in vain, whatever the health endpoint says


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

    Some engines answer nothing else while they work, so one that holds requests is left alone
    until a request has waited in vain: then one look that fails is enough.
    """
    well_at = time.monotonic()
    seen = leases.silences(instance_id)
    while True:
        pause = min(rules.interval, rules.unhealthy_after / 4)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await leases.silent(instance_id, seen)
        seen = leases.silences(instance_id)
        if seen >= _ENOUGH:
            return f"{seen} requests in a row waited in vain for a byte of it"
        works = seen == 0 and leases.count(instance_id) > 0
        if works or await is_healthy():
            well_at = time.monotonic()
        elif seen:
            return "a request waited in vain for a byte of it, and so does its health endpoint"
        elif time.monotonic() - well_at >= rules.unhealthy_after:
            return f"its health endpoint did not answer for {rules.unhealthy_after:g} s"
