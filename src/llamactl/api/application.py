"""Builds the FastAPI application of the management API."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI

from llamactl import __version__
from llamactl.api.errors import install_error_handlers
from llamactl.api.openapi import swagger as docs
from llamactl.api.openapi.document import DocumentedApi
from llamactl.api.routers import (
    backends,
    config,
    contexts,
    events,
    instances,
    keys,
    logs,
    metrics,
    models,
    nodes,
    requests,
    system,
)
from llamactl.api.routers.browser import live, page, session
from llamactl.api.services import MetricsSources, ServerInfo, Services


def build_api(services: Services, compat_routers: Iterable[APIRouter] = ()) -> FastAPI:
    """`compat_routers`: other programs' APIs."""
    api = DocumentedApi(
        title="llamactl",
        version=__version__,
        description="Keeps local inference servers running as named instances.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    api.state.services = services
    install_error_handlers(api)
    for router in (
        system.open_router,
        metrics.router,
        system.router,
        instances.router,
        logs.router,
        events.router,
        keys.router,
        contexts.router,
        nodes.router,
        requests.router,
        config.router,
        models.router,
        backends.router,
        session.router,
        live.router,
        page.router,
        *compat_routers,
    ):
        # not `include_router`: it builds each route again, with all its schemas
        api.router.routes.extend(router.routes)
    (docs.install if services.settings.swagger else docs.install_closed)(api)
    return api


__all__ = ["MetricsSources", "ServerInfo", "Services", "build_api"]
