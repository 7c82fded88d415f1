"""Which paths there are, and who may ask there: read from the routes themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Mount, Route

from llamactl.api.services import management
from llamactl.core.paths import PathGuard

_KEPT = 256  # paths


def guards(api: FastAPI, compat_routers: Iterable[APIRouter]) -> Callable[[str], PathGuard]:
    """`compat_routers`: those of the routes that are other programs' APIs."""
    foreign = {route.path for router in compat_routers for route in _paths(router.routes)}
    found = [(route.path_regex, _guard_of(route, foreign)) for route in _paths(api.routes)]

    @lru_cache(_KEPT)
    def guard_of(path: str) -> PathGuard:
        return next((g for pattern, g in found if pattern.match(path)), PathGuard.NOTHING)

    return guard_of


def _paths(routes: Iterable[BaseRoute]) -> list[Route | Mount]:
    return [route for route in routes if isinstance(route, Route | Mount)]


def _guard_of(route: Route | Mount, foreign: set[str]) -> PathGuard:
    if route.path in foreign:
        return PathGuard.OWN
    asks = (asked.dependency for asked in getattr(route, "dependencies", ()))
    return PathGuard.MANAGEMENT if management in asks else PathGuard.OPEN
