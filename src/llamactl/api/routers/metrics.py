"""`/metrics`, and what was served in the last days. Starts no instance."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from llamactl.api.errors import answers
from llamactl.api.services import GUARDS, Services, ServicesDep, management
from llamactl.backends import backend_of
from llamactl.core.ports.history import Window
from llamactl.observe.exposition import CONTENT_TYPE, Shown, exposition, relabelled
from llamactl.schemas.history import HistoryBody

router = APIRouter(tags=["system"])
_COUNTS = (
    "requests", "failed", "refused", "prompt_tokens", "cached_tokens", "generated_tokens",
)  # fmt: skip


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


@router.get("/api/v1/history", dependencies=GUARDS, responses=answers(404))
async def get_history(
    services: ServicesDep,
    window: Annotated[Window, Query(description="up to now")] = "1h",
    name: Annotated[
        str | None,
        Query(
            alias="instance",
            min_length=1,
            description="name or alias of an instance, with all its replicas; all if left out",
        ),
    ] = None,
) -> HistoryBody:
    """Get what instances served, in steps of a minute (1h), ten minutes (1d) or an hour (7d)."""
    found = await services.history.series(window, _ids(services, name))
    counts = {key: [getattr(one, key) for one in found.served] for key in _COUNTS}
    return HistoryBody(
        step_s=found.steps.step_s,
        start=found.steps.start,
        until=found.until,
        retention_days=services.about.settings.current.instances.history_retention,
        queue_s=[_mean(one.queue_s, one.queue_count) for one in found.served],
        first_token_s=[_mean(one.first_s, one.first_count) for one in found.served],
        **counts,
    )


def _ids(services: Services, name: str | None) -> list[str] | None:
    """None for all. Raises InstanceNotFound."""
    if name is None:
        return None
    return [managed.instance.id for managed in services.instances.serving(name)]


def _mean(total: float, count: int) -> float | None:
    return round(total / count, 6) if count else None
