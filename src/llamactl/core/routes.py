"""What the data path knows of the instances: an immutable table, replaced whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llamactl.core.instance import name_key


@dataclass(frozen=True, slots=True)
class ReadyInstance:
    """Where a ready instance answers. One generation of it."""

    name: str
    host: str
    port: int
    key: str  # the engine's own key for this start; "" where the engine knows none
    generation: int
    headers: bytes = field(init=False, repr=False, compare=False)  # Host and key, as sent

    def __post_init__(self) -> None:
        key = f"authorization: Bearer {self.key}\r\n" if self.key else ""
        object.__setattr__(self, "headers", f"host: {self.host}:{self.port}\r\n{key}".encode())


@dataclass(frozen=True, slots=True)
class Route:
    id: str
    name: str
    created: int  # Unix seconds
    backend: str
    ready: ReadyInstance | None


@dataclass(frozen=True, slots=True)
class RouteTable:
    routes: Mapping[str, Route] = field(default_factory=dict)  # by name_key

    def get(self, name: str) -> Route | None:
        return self.routes.get(name.lower())  # name_key, without a call

    def with_route(self, route: Route) -> RouteTable:
        return RouteTable({**self.routes, name_key(route.name): route})

    def without(self, name: str) -> RouteTable:
        gone = name_key(name)
        return RouteTable({k: v for k, v in self.routes.items() if k != gone})
