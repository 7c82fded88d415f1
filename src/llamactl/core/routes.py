"""What the data path knows of the instances: an immutable table, replaced whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from llamactl.core.errors import StoreUnavailable
from llamactl.core.filters import Filters
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
    aliases: tuple[str, ...] = ()
    filters: Filters | None = None
    sees_images: bool = False


@dataclass(frozen=True, slots=True)
class RouteTable:
    routes: Mapping[str, Route] = field(default_factory=dict)  # by name_key, and of each alias
    complete: bool = True  # False while the store, which knows them, was not read

    def get(self, name: str) -> Route | None:
        """Raises StoreUnavailable where it may be one that nobody knows yet."""
        found = self.routes.get(name.lower())  # name_key, without a call
        if found is None and not self.complete:
            raise StoreUnavailable("the store was not read yet; try again later")
        return found

    def all(self) -> list[Route]:
        """Each once, by name. Raises StoreUnavailable as `get` does."""
        if not self.complete:
            raise StoreUnavailable("the store was not read yet; try again later")
        return sorted((r for k, r in self.routes.items() if name_key(r.name) == k), key=_by_name)

    def with_route(self, route: Route) -> RouteTable:
        before = self.routes.get(name_key(route.name))
        kept = (
            self if before is None or before.aliases == route.aliases else self.without(route.name)
        )
        keys = [name_key(name) for name in (route.name, *route.aliases)]
        return replace(kept, routes={**kept.routes, **dict.fromkeys(keys, route)})

    def without(self, name: str) -> RouteTable:
        gone = name_key(name)
        rest = {k: r for k, r in self.routes.items() if name_key(r.name) != gone}
        return replace(self, routes=rest)


def _by_name(route: Route) -> str:
    return name_key(route.name)
