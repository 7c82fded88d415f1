"""`/metrics`: our metrics and those of the running engines. Starts no instance."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from llamactl.api.errors import answers
from llamactl.api.services import Services, ServicesDep, management
from llamactl.backends import backend_of
from llamactl.observe.exposition import CONTENT_TYPE, Shown, exposition, relabelled

router = APIRouter(tags=["system"])


@router.get("/metrics", responses=answers(), response_class=Response)
async def metrics(request: Request, services: ServicesDep) -> Response:
    """Get metrics in Prometheus text format.

    Requires a management key unless `server.metrics_open` is set. With
    `auth.hide_cached_tokens` it always does.
    """
    hides = services.about.settings.current.auth.hide_cached_tokens
    if hides or not services.settings.server.metrics_open:
        management(request)
    body = await services.numbers.shown(lambda: _exposition(services))
    return Response(body, media_type=CONTENT_TYPE)


async def _exposition(services: Services) -> bytes:
    """Scrapes all engines, so simultaneous requests share the result."""
    all_managed = services.instances.all()
    ready = {m.instance.name: m.replica.ready for m in all_managed if m.replica.ready is not None}
    serving = [m.replica for m in all_managed if m.instance.name in ready]
    texts = await asyncio.gather(*map(services.numbers.scrape, serving))
    await services.numbers.gather()
    meters = services.numbers.meters()
    for kind in (meters, services.contexts.meters):
        kind.keep({m.instance.id for m in all_managed})
    shown = [
        Shown(
            m.instance.name,
            m.replica.runner.now.state.value,
            services.numbers.leases(m.instance.id),
            meters.of(m.instance.id),
            services.contexts.meters.of(m.instance.id),
            {"node": m.replica.context.name, "model": m.instance.model_name},
        )
        for m in all_managed
    ]
    kept = sum(one.size for one in await services.contexts.all())
    gauges = {**services.numbers.gauges(), "contexts_bytes": kept}
    told = dict(zip(ready, texts, strict=True))
    names = {name: backend_of(where.backend).metric_names for name, where in ready.items()}

    def written() -> bytes:
        return exposition(shown, meters.unrouted, gauges, relabelled(told, names))

    return await asyncio.to_thread(written)
