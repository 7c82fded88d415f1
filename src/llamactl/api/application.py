"""Builds the FastAPI application of the management API."""

from __future__ import annotations

from fastapi import FastAPI

from llamactl import __version__
from llamactl.api import config, docs, events, instances, keys, metrics, plan, system
from llamactl.api.errors import install_error_handlers
from llamactl.api.services import Numbers, Services


def build_api(services: Services) -> FastAPI:
    api = FastAPI(
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
        plan.router,
        events.router,
        keys.router,
        config.router,
    ):
        api.include_router(router)
    if services.settings.swagger:
        docs.install(api)
    return api


__all__ = ["Numbers", "Services", "build_api"]
