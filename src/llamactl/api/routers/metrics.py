"""`/metrics`: our metrics and those of the running engines. Starts no instance."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from llamactl.api.errors import answers
from llamactl.api.services import Mine, Services, management
from llamactl.observe.exposition import CONTENT_TYPE, Shown, exposition, relabelled

router = APIRouter(tags=["system"])


@router.get("/metrics", responses=answers(), response_class=Response)
async def metrics(request: Request, mine: Mine) -> Response:
    """Get metrics in Prometheus text format.

    Requires a management key unless `server.metrics_open` is set.
    """
    if not mine.settings.server.metrics_open:
        management(request)
    body = await mine.numbers.shown(lambda: _exposition(mine))
    return Response(body, media_type=CONTENT_TYPE)


async def _exposition(mine: Services) -> bytes:
    """Scrapes all engines, so simultaneous requests share the result."""
    members = mine.instances.all()
    ready = {m.instance.name: m.replica.ready for m in members if m.replica.ready is not None}
    texts = await asyncio.gather(*(mine.numbers.scrape(where) for where in ready.values()))
    meters = mine.numbers.meters()
    meters.keep({m.instance.id for m in members})
    shown = [
        Shown(
            m.instance.name,
            m.replica.runner.now.state.value,
            mine.numbers.leases(m.instance.id),
            meters.of(m.instance.id),
        )
        for m in members
    ]
    gauges = mine.numbers.gauges()
    told = dict(zip(ready, texts, strict=True))

    def written() -> bytes:
        return exposition(shown, meters.unrouted, gauges, relabelled(told))

    return await asyncio.to_thread(written)
