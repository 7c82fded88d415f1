"""All instances that are managed, by name and id, and the routes drawn from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llamactl.backends import backend_of
from llamactl.control.lifecycle.replica import Replica
from llamactl.core.errors import InstanceNotFound
from llamactl.core.exits import FailureClass
from llamactl.core.filters import Filters
from llamactl.core.instance import Instance, InstanceOptions, name_key, replica_of
from llamactl.core.lease import Lease
from llamactl.core.lifecycle import GOING, LOADED, AfterExit, Lifecycle, State
from llamactl.core.memory import NOTHING, Need, beyond, larger
from llamactl.core.model import NO_MODEL, Offer
from llamactl.core.routes import Route, RouteTable
from llamactl.policy.body.filters import filters_of
from llamactl.policy.scheduling.breaker import CLOSED, Breaker
from llamactl.policy.scheduling.node_memory import at_node, of_node
from llamactl.policy.scheduling.placement import Feasible

if TYPE_CHECKING:
    from llamactl.schemas.instances import Status

_STATUS: dict[State, Status] = {
    State.STOPPED: "stopped",
    State.STARTING: "starting",
    State.READY: "running",
    State.FALLING_ASLEEP: "asleep",
    State.ASLEEP: "asleep",
    State.DRAINING: "stopping",
    State.STOPPING: "stopping",
    State.BACKOFF: "restarting",
    State.FAILED: "failed",
    State.LOST: "failed",
}


@dataclass(slots=True, eq=False)
class ManagedInstance:
    """One instance: its definition, the replica that runs it, and what was seen of it.

    Times are monotonic seconds.
    """

    instance: Instance
    replica: Replica
    need: Need = NOTHING  # of its next start
    launched: Need = NOTHING  # of the process that runs
    asleep: Need | None = None  # of one that slept; None: nobody has seen that
    offer: Offer = NO_MODEL  # what it serves
    breaker: Breaker = CLOSED
    entered_at: float = 0.0  # its present state
    load_s: float = 0.0  # how long its last load took
    was_loaded: bool = False  # its process was, before this start: adopted, or asleep
    waiting: list[asyncio.Future[Lease[str]]] = field(default_factory=list)  # requests for it
    deleted: bool = False  # somebody is about it
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)  # its definition

    @property
    def filters(self) -> Filters | None:
        return self._filters_of(self.instance.options)

    @property
    def variants(self) -> dict[str, Filters | None]:
        """Their filters, by id."""
        options = self.instance.options
        return {one: self._filters_of(options.of_variant(one)) for one in options.variants}

    def _filters_of(self, options: InstanceOptions) -> Filters | None:
        backend = backend_of(options.backend_type)
        filters = filters_of(options, backend.synonyms)
        if backend.stripped:
            filters = (filters or Filters()).without(backend.stripped)
        if model := self.served_model:  # it counts most: the engine would answer nothing else
            return (filters or Filters()).naming(model, self.offer.models)
        return filters

    @property
    def served_model(self) -> str:
        options = self.instance.options
        backend = backend_of(options.backend_type)
        return backend.asked_for(self.instance.model_name, options.backend_options)

    @property
    def status(self) -> Status:
        now = self.replica.runner.now
        going = now.state in GOING
        return "restarting" if going and now.after_exit is AfterExit.RESTART else _STATUS[now.state]

    @property
    def not_before(self) -> float:
        """When it may be started again by itself."""
        now = self.replica.runner.now
        return self.entered_at + now.retry_in if now.state is State.BACKOFF else 0.0

    def place_on(self, there: Feasible) -> None:
        """Its next process runs there; it has none."""
        if self.replica.context.node.id != there.node:
            self.asleep = None  # what was seen of it on another machine
            self.replica.place_on(there.node)
        self.need = there.need

    @property
    def taken(self) -> Need:
        """What it takes as long as its process lives, and what it will take after that."""
        state = self.replica.runner.now.state
        if state is State.ASLEEP and self.asleep is not None:
            return self.asleep
        return self.taken_awake if state in LOADED else self.need

    @property
    def taken_awake(self) -> Need:
        return larger(self.need, self.launched)

    @property
    def need_beyond(self) -> Need:
        """What a start takes besides what it has: one that sleeps keeps that."""
        asleep = self.replica.runner.now.state is State.ASLEEP
        return beyond(self.need, self.taken) if asleep else self.need

    @property
    def need_asleep(self) -> Need | None:
        """What it would take if it was asked to sleep; None: it can only stop."""
        if not self.replica.sleeps_when_asked:
            return None
        node = self.replica.context.node.id
        awake = of_node(self.taken_awake, node)
        in_ram = Need(awake.ram + sum(awake.gpus.values()))  # at most, where nobody has seen it
        return self.asleep or at_node(in_ram, node)

    @property
    def is_excused(self) -> bool:
        """Did its last process end by the fault of requests, or of the store?

        Then it may be started again at any time.
        """
        report = self.replica.last_exit
        return report is not None and (report.excused or report.failure is FailureClass.STORE)

    def moved(self, before: Lifecycle, after: Lifecycle, now: float) -> None:
        if after.epoch == before.epoch:
            return
        if after.state is State.STARTING:
            self.was_loaded = after.generation == before.generation
            if before.state is State.LOST or not self.was_loaded:
                self.launched = self.need
        if after.state is State.READY and before.state is State.STARTING:
            self.load_s = self.load_s if self.was_loaded else now - self.entered_at
            self.breaker = CLOSED
        elif after.state is State.FAILED and not self.is_excused:
            self.breaker = self.breaker.failed(now)
        if after.state is not State.READY or before.state is not State.DRAINING:
            self.entered_at = now  # a drain that was called off did not make it new


class Registry:
    """The only holder of the instances. `publish` hands the data path a new table."""

    def __init__(self, publish: Callable[[RouteTable], None]) -> None:
        self._publish = publish
        self._by_name: dict[str, ManagedInstance] = {}
        self._hidden: dict[str, ManagedInstance] = {}  # being deleted
        self._names: set[str] = set()  # taken, those being made or deleted included
        self._aliases: dict[str, str] = {}  # taken, with the key of whose they are
        self._others: dict[str, dict[str, ManagedInstance]] = {}  # replicas, by instance
        self._table = RouteTable()
        self.pausing = asyncio.Lock()  # held by who pauses several runners, until it has

    def __len__(self) -> int:
        """Instances, whatever replicas they have."""
        return len(self._names)

    def __iter__(self) -> Iterator[ManagedInstance]:
        return iter(sorted(self._by_name.values(), key=lambda m: name_key(m.instance.name)))

    def defined(self) -> list[ManagedInstance]:
        """Those that people define: without replicas besides the first."""
        return [managed for managed in self if not replica_of(managed.instance.name)]

    def others_of(self, managed: ManagedInstance) -> list[ManagedInstance]:
        """Its replicas besides the first."""
        return [*self._others.get(name_key(managed.instance.name), {}).values()]

    def serving(self, managed: ManagedInstance) -> list[ManagedInstance]:
        """Those that serve what asks for it by this name: for one more replica, only itself."""
        return [managed, *self.others_of(managed)]

    def replicas_of(self, managed: ManagedInstance) -> list[ManagedInstance]:
        """All replicas of the instance that this is one of, the first one first."""
        first = self._by_name.get(name_key(managed.instance.model_name), managed)
        return self.serving(first)

    def know(self, *, all_of_them: bool) -> None:
        """Has the store been read, which knows them?"""
        self._table = replace(self._table, complete=all_of_them)
        self._publish(self._table)

    def present(self) -> list[ManagedInstance]:
        """Also those that are being deleted."""
        return [*self, *self._hidden.values()]

    def listed(self) -> list[ManagedInstance]:
        """Raises StoreUnavailable until all are known."""
        self._table.all()
        return [*self]

    def reserve(self, name: str, others: Iterable[str] = ()) -> bool:
        """Take a name, its aliases and variants; False if one of them is taken."""
        key = name_key(name)
        if key in self._names or key in self._aliases or not self.claim(name, others):
            return False
        self._names.add(key)
        return True

    def claim(self, name: str, others: Iterable[str]) -> bool:
        """Take these aliases and variants in place of those that it has.

        False if one is another's.
        """
        own, keys = name_key(name), {name_key(other) for other in others}
        if any((k in self._names and k != own) or self._aliases.get(k, own) != own for k in keys):
            return False
        kept = {k: owner for k, owner in self._aliases.items() if owner != own}
        self._aliases = {**kept, **dict.fromkeys(keys, own)}
        return True

    def free(self, name: str) -> None:
        self._names.discard(name_key(name))
        self._hidden.pop(name_key(name), None)
        self.claim(name, ())

    def add(self, managed: ManagedInstance) -> None:
        name = managed.instance.name
        if instance := replica_of(name):
            self._others.setdefault(name_key(instance), {})[name_key(name)] = managed
        else:
            self._names.add(name_key(name))
            self.claim(name, managed.instance.options.other_names)
        self._by_name[name_key(name)] = managed
        self._hidden.pop(name_key(name), None)
        self.refresh(managed)

    def hide(self, name: str) -> None:
        """Hide it from look-ups; its name stays taken until `free`."""
        self._others.get(name_key(replica_of(name)), {}).pop(name_key(name), None)
        if (managed := self._by_name.pop(name_key(name), None)) is not None:
            self._hidden[name_key(name)] = managed
        self._table = self._table.without(name)
        self._publish(self._table)

    def get(self, name: str) -> ManagedInstance:
        """By name or alias. Raises InstanceNotFound, or StoreUnavailable until all are known."""
        key = name_key(name)
        managed = self._by_name.get(key) or self._by_name.get(self._aliases.get(key, ""))
        if managed is None:
            self._table.get(name)
            raise InstanceNotFound(f"there is no instance named {name[:140]!r}")
        return managed

    def refresh(self, managed: ManagedInstance) -> None:
        """Publish where the instance answers now."""
        instance = managed.instance
        if self._by_name.get(name_key(instance.name)) is not managed:
            return
        route = Route(
            instance.id,
            instance.name,
            instance.created,
            backend_of(instance.options.backend_type).name,
            managed.replica.ready,
            tuple(instance.options.aliases),
            managed.filters,
            state=managed.status,
            offer=managed.offer,
            served_model=managed.served_model,
            variants=managed.variants,
        )
        self._table = self._table.with_route(route)
        self._publish(self._table)
