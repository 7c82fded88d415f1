"""What the data path knows about the instances: an immutable table, replaced as a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from llamactl.core.errors import StoreUnavailable
from llamactl.core.filters import Filters
from llamactl.core.instance import instance_id_of, name_key, replica_of
from llamactl.core.model import NO_MODEL, ModelInfo, Offer


@dataclass(frozen=True, slots=True)
class ReadyInstance:
    """Where a ready instance answers. One generation of it."""

    name: str
    host: str
    port: int
    key: str  # the engine's own key for this start; "" where the engine knows none
    generation: int
    backend: str = ""  # "": the default one
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
    state: str = "stopped"  # as the management API has its `status`
    offer: Offer = NO_MODEL
    model: str = ""  # of several, or an adapter: what this leads to, by the engine's own name
    served_model: str = ""  # what the engine wants to be asked for; "": whatever was sent will do
    variants: Mapping[str, Filters | None] = field(default_factory=dict)  # by the id to ask for
    variant: str = ""  # the one of them that this is

    @property
    def wanted_model(self) -> str:
        """The `model` of requests, as the engine knows it; "": as they come."""
        return self.model or self.served_model

    @property
    def instance_id(self) -> str:
        """Of the instance whose requests it serves."""
        return instance_id_of(self.id) if replica_of(self.name) else self.id

    @property
    def served_as(self) -> str:
        """What clients call it."""
        return self.variant or self._named(self.name)

    @property
    def also_served_as(self) -> list[str]:
        return [self._named(alias) for alias in self.aliases]

    def _named(self, instance: str) -> str:
        return f"{instance}/{self.model}" if self.model else instance

    def through(self, replica: Route) -> Route:
        """The same by this one of the instance's replicas."""
        return replace(self, id=replica.id, name=replica.name, ready=replica.ready)

    def to(self, model: str) -> Route:
        """One model of a router, or one adapter."""
        offer = Offer(self.offer.models.get(model, ModelInfo()))
        filters = (self.filters or Filters()).naming(model)
        return replace(self, model=model, offer=offer, filters=filters, variants={})

    def as_variant(self, variant: str) -> Route:
        """The same instance, asked for by another id, with what that one sets in requests."""
        offer = NO_MODEL if self.offer.several else self.offer
        filters = self.variants[variant]
        return replace(self, variant=variant, filters=filters, offer=offer, aliases=(), variants={})


_LONGEST_NAME: Final = 512  # characters; no file or repository has a longer one


@dataclass(frozen=True, slots=True)
class RouteTable:
    routes: Mapping[str, Route] = field(default_factory=dict)  # by name_key, and of each alias
    # variants, adapters, and models of routers, by what clients call them; an instance or alias
    # with that very name counts more
    models: Mapping[str, Route] = field(default_factory=dict)
    # all replicas of instances with several, the first one first, by the instance's name_key
    replicas: Mapping[str, tuple[Route, ...]] = field(default_factory=dict)
    complete: bool = True  # False while the store, which knows them, was not read

    def get(self, name: str) -> Route | None:
        """Raises StoreUnavailable where it may be one that nobody knows yet."""
        found = self.routes.get(name.lower())  # name_key, without a call
        if found is None and not self.complete:
            raise StoreUnavailable("the store has not been read yet; retry later")
        return found

    def find(self, name: str) -> Route | None:
        """By what a request calls its model. Raises StoreUnavailable as `get` does."""
        key = name.lower()
        found = self.routes.get(key) or self.models.get(key)
        return found or self._of_router(name) or self.get(name)

    def _of_router(self, name: str) -> Route | None:
        """One that is named before anybody knows what there is."""
        instance, _, model = name.partition("/")
        route = self.routes.get(instance.lower())
        if (
            not model
            or len(model) > _LONGEST_NAME
            or route is None
            or not route.offer.several
            or route.offer.models
        ):
            return None
        return route.to(model)

    def named(self, name: str) -> Route | None:
        """The one of `served` that is called so. Raises StoreUnavailable as `get` does."""
        key = name.lower()
        found = self.routes.get(key) or self.models.get(key) or self.get(name)
        return None if found is None or found.offer.in_parts else found

    def served(self) -> list[Route]:
        """All that a request can ask for. Raises StoreUnavailable as `get` does."""
        several = [
            route for key, route in self.models.items()
            if key == name_key(route.served_as) and key not in self.routes
        ]  # fmt: skip
        alone = [r for r in self.all() if not r.offer.in_parts and not replica_of(r.name)]
        return sorted([*alone, *several], key=_by_served_name)

    def all(self) -> list[Route]:
        """Each once, by name. Raises StoreUnavailable as `get` does."""
        if not self.complete:
            raise StoreUnavailable("the store has not been read yet; retry later")
        return sorted(self.known(), key=_by_name)

    def known(self) -> list[Route]:
        """Each once, also while there may be others."""
        return [r for k, r in self.routes.items() if name_key(r.name) == k]

    def replicas_of(self, route: Route) -> Sequence[Route]:
        """All that serve its requests: itself, where it has no other replicas."""
        return self.replicas.get(name_key(route.name)) or (route,)

    def ready(self, route: Route) -> list[Route]:
        """Those of `replicas_of` that are."""
        return [one for one in self.replicas_of(route) if one.ready is not None]

    def with_route(self, route: Route) -> RouteTable:
        before = self.routes.get(name_key(route.name))
        kept = (
            self if before is None or before.aliases == route.aliases else self.without(route.name)
        )
        keys = [name_key(name) for name in (route.name, *route.aliases)]
        models = kept.models
        known = [r for r in (route, before) if r is not None]
        several = any(r.offer.several or r.offer.models or r.variants for r in known)
        if several and not replica_of(route.name):
            models = {**_others(models, route.name), **_by_name_of_each(route)}
        routes = {**kept.routes, **dict.fromkeys(keys, route)}
        replicas = kept._with_replica(routes, route.name)
        return replace(kept, routes=routes, models=models, replicas=replicas)

    def without_ready(self) -> RouteTable:
        """The same, with nothing ready."""
        replicas = {
            key: tuple(replace(one, ready=None) for one in several)
            for key, several in self.replicas.items()
        }
        routes = {key: replace(route, ready=None) for key, route in self.routes.items()}
        return replace(self, routes=routes, replicas=replicas)

    def without(self, name: str) -> RouteTable:
        gone = name_key(name)
        rest = {k: r for k, r in self.routes.items() if name_key(r.name) != gone}
        replicas = self._with_replica(rest, name)
        return replace(self, routes=rest, models=_others(self.models, name), replicas=replicas)

    def _with_replica(
        self, routes: Mapping[str, Route], name: str
    ) -> Mapping[str, tuple[Route, ...]]:
        """As they are with these routes, of which the one of that name is new, or gone."""
        instance = name_key(replica_of(name) or name)
        if instance not in self.replicas and not replica_of(name):
            return self.replicas
        known = [name_key(r.name) for r in self.replicas.get(instance, ())]
        keys = dict.fromkeys([instance, *known, name_key(name)])
        # the rest are aliases of another instance, from before those names were taken
        there = [r for key in keys if (r := routes.get(key)) and name_key(r.name) == key]
        several = {instance: tuple(there)} if there and there != [routes.get(instance)] else {}
        return {**{k: r for k, r in self.replicas.items() if k != instance}, **several}


def _by_name_of_each(route: Route) -> dict[str, Route]:
    """If names differ only in case, which engines distinguish, the first one wins."""
    found = {name_key(variant): route.as_variant(variant) for variant in route.variants}
    for one in map(route.to, route.offer.models):
        for name in (one.served_as, *one.also_served_as):
            found.setdefault(name_key(name), one)
    return found


def _others(models: Mapping[str, Route], name: str) -> dict[str, Route]:
    return {k: r for k, r in models.items() if name_key(r.name) != name_key(name)}


def _by_name(route: Route) -> str:
    return name_key(route.name)


def _by_served_name(route: Route) -> str:
    return name_key(route.served_as)
