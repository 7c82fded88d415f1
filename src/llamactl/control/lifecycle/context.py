"""What replicas share, and what they ask of others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from llamactl.backends import backend_of, engine_asked
from llamactl.backends.containers import check_container, container_of
from llamactl.backends.contexts import why_not_kept
from llamactl.backends.contract import Backend, Start
from llamactl.backends.sleep import why_no_sleep
from llamactl.cluster.reach import Reach
from llamactl.config import Settings, SettingsHolder
from llamactl.control.lifecycle.device_book import DeviceBook
from llamactl.control.lifecycle.provisions.contexts import Contexts
from llamactl.control.lifecycle.provisions.images import Images
from llamactl.control.lifecycle.provisions.port_book import PortBook, check_port
from llamactl.control.lifecycle.provisions.warm_ups import WarmUps
from llamactl.core.errors import ForbiddenBySettings, InvalidOption, InvalidRequest, NodeAway
from llamactl.core.events import InstanceEvent, ProcessId, ProcessRecord
from llamactl.core.exits import ExitReport
from llamactl.core.filters import Filters
from llamactl.core.instance import Instance, InstanceOptions, Policies, policies
from llamactl.core.lifecycle import Lifecycle
from llamactl.core.memory import MeasuredMemory
from llamactl.core.model import NO_MODEL, Offer
from llamactl.core.ports.activator import Leases
from llamactl.core.ports.node import LOCAL, EngineSettings, LaunchSpec, Node
from llamactl.policy.definition.checks import field_named
from llamactl.policy.definition.engine_help import (
    UNREAD,
    Known,
    Seen,
    Vocabulary,
    nothing_known,
    nothing_seen,
)
from llamactl.policy.definition.warm_up import warm_up_path


class Journal(Protocol):
    """Where what happens is written down, in its order."""

    def record(
        self, event: InstanceEvent, now: Lifecycle, last_exit: ExitReport | None
    ) -> asyncio.Task[None]:
        """Done when a transition is written down, or kept for a store that is away."""
        ...

    async def enter_process(self, record: ProcessRecord) -> None: ...

    def forget_process(self, replica_id: str, name: str) -> None: ...

    def note(
        self, instance: Instance, now: Lifecycle, event: str, cause: str,
        details: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        """What happened beside the transitions."""
        ...


class ReplicaCallbacks(Protocol):
    """What a replica reports to, and asks of, those who decide about it."""

    @property
    def filters(self) -> Filters | None:
        """What is changed in its requests before its engine sees them."""
        ...

    @property
    def together(self) -> Sequence[str]:
        """IDs of the replicas that share its requests, its own among them."""
        ...

    def moved(self, before: Lifecycle, after: Lifecycle) -> None: ...

    async def measured(self, instance: Instance, usage: MeasuredMemory, *, asleep: bool) -> None:
        """What a process takes of the memory now, and the definition it was started by."""
        ...

    async def readmitted(self) -> str:
        """Wait for a place to restart in; why there is none, or "". Cancelling gives it up."""
        ...


@dataclass(slots=True, eq=False)
class ReplicaContext:
    """What the replicas on one node share."""

    node: Node
    held: SettingsHolder
    journal: Journal
    leases: Leases
    images: Images
    contexts: Contexts = field(init=False)
    warm_ups: WarmUps = field(init=False)
    ports: PortBook = field(default_factory=PortBook)
    known: Known = nothing_known
    seen: Seen = nothing_seen
    reach: Reach = field(default_factory=Reach)
    name: str = LOCAL  # of the node, for people
    devices: DeviceBook = field(default_factory=DeviceBook)

    def __post_init__(self) -> None:
        self.contexts = Contexts(self.node, self.held, self.leases.contexts)
        self.warm_ups = WarmUps(self.node, self.held)

    @property
    def is_local(self) -> bool:
        """Is it this machine's?"""
        return self.node.id == LOCAL

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self.held.current

    def hidden_devices(self, options: InstanceOptions) -> Mapping[str, str]:
        """Ids by name of the GPUs that its engine is not to see."""
        return self.devices.hidden(self.node.id, options, self.settings.engine_of(options))

    def device_out(self, options: InstanceOptions) -> NodeAway | None:
        """Why an instance with these can't start here, if it names a GPU that is out of service."""
        out = self.devices.needed(self.node.id, options, self.settings.engine_of(options))
        if not out:
            return None
        return NodeAway(
            f"device {out[0]} of node {self.name!r} is out of service; put it back into service "
            f"with `llamactl node device enable {self.name} {out[0]}`"
        )

    def check(self, instance: Instance) -> None:
        """Raises InvalidOption where it could not be turned into a command.

        Conflict where its port is another's.
        """
        self.check_options(instance.options)
        self.ports.check(instance)

    def check_options(self, options: InstanceOptions) -> None:
        """The same, without regard to other instances."""
        backend = backend_of(options.backend_type)
        check_container(self.settings.engine_of(options), options)
        if options.preset_ini and not backend.preset_option:
            raise InvalidOption(
                f"'preset_ini' has no meaning for the backend {backend.name}; leave it out"
            )
        backend.check(Start.of(options, self.settings.engine_of(options)))
        check_port(options, self.settings.server.port)

        if given := options.warm_up:
            _check_warm_up(warm_up_path(given), backend)

    async def permit(self, instance: Instance, *, starts: bool = False) -> None:
        """Raise ForbiddenBySettings where the settings keep the API from such a definition.

        NodeAway where nobody can say. `starts`: it is to be started, too.
        """
        if starts:
            self.reach.expect_up()
        if not instance.source:  # what is declared in a file is its owner's own
            await self.reach.while_up(self.node.permit(instance.options))

    async def vocabulary(self, body: object, now: InstanceOptions) -> Vocabulary:
        """The options of the engine that a definition is for; empty where it can't be asked."""
        return await self._vocabulary_of(engine_asked(body, now))

    async def ask_engine(self, instance: Instance) -> None:
        """For what `context_obstacle` and `sleep_obstacle` say, if nobody has."""
        options, backend = instance.options, backend_of(instance.options.backend_type)
        asks = backend.contexts is not None or self._policies(instance).sleeps
        if asks and self.seen(options) is None:
            await self._vocabulary_of(options)

    async def _vocabulary_of(self, asked: InstanceOptions) -> Vocabulary:
        if container_of(self.settings.engine_of(asked), asked) is not None:
            return UNREAD  # that engine is in the image
        try:
            if asked.command_override:  # it is run to be asked
                await self.node.permit(InstanceOptions(command_override=asked.command_override))
        except ForbiddenBySettings:
            return UNREAD
        return await self.known(asked)

    async def replaced(self, instance: Instance, seconds: float) -> bool:
        """As `Node.replaced`; as far as is known."""
        try:
            return await self.reach.while_up(self.node.replaced(instance.options, seconds))
        except NodeAway:
            return False

    async def offer(self, instance: Instance, process: ProcessId | None = None) -> Offer:
        """As `Node.offer`; nothing while the node is away."""
        offered = self.node.offer(instance.options, self.engine(instance), process)
        try:
            return await self.reach.while_up(offered)
        except NodeAway:
            return NO_MODEL

    async def command_of(self, instance: Instance) -> Sequence[str]:
        """As `Node.command_of`; a port that is not given is 0. Raises NodeAway, too."""
        return await self.reach.while_up(self.node.command_of(self.spec(instance, 0)))

    async def obstacle(self, instance: Instance) -> str:
        """As `Node.obstacle`."""
        try:
            return await self.reach.while_up(self.node.obstacle(self.spec(instance, 0)))
        except NodeAway as exc:
            return exc.message

    def context_obstacle(self, instance: Instance) -> str:
        """Why its contexts are lost when it stops; "" if they are kept, or that is not wanted.

        Of an engine that nobody has asked for its options yet, only what its definition says.
        """
        options = instance.options
        if not self._policies(instance).keep_context:
            return ""
        start = Start.of(options, self.engine(instance))
        insists, backend = options.keep_context == "on", backend_of(options.backend_type)
        seen, unused = self.seen(options), self.contexts.unused
        return why_not_kept(backend, start, seen, unused, insists=insists)

    def sleep_obstacle(self, instance: Instance) -> str:
        """Why it stops when it is idle, though it is to sleep; "" if it sleeps, or is not to."""
        options, wanted = instance.options, self._policies(instance)
        if not wanted.sleeps:
            return ""
        if not wanted.idle_timeout:
            return "idle_timeout is 0, so it is never idle; set it"
        known = self.seen(options)
        start = replace(Start.of(options, self.engine(instance)), known=known or UNREAD)
        return why_no_sleep(backend_of(options.backend_type), start, asked=known is not None)

    def engine(self, instance: Instance) -> EngineSettings:
        """The settings of its engine."""
        return self.settings.engine_of(instance.options)

    def _policies(self, instance: Instance) -> Policies:
        return policies(instance.options, self.settings.instances.defaults)

    def spec(self, instance: Instance, generation: int, avoid: int | None = None) -> LaunchSpec:
        """`avoid`: a port that was found taken."""
        choice = self.ports.choice(
            instance, self.settings.instances.port_range, self.settings.server.port, avoid
        )
        wanted = self._policies(instance)
        options = replace(instance.options, warm_up={})  # which may be large, and is not for this
        return LaunchSpec(
            instance.id, instance.id, instance.name, generation, options,
            self.engine(instance), choice, trusted=bool(instance.source),
            drain_s=round(self.settings.instances.drain_timeout),
            keeps_context=wanted.keep_context,
            sleep_s=wanted.idle_timeout if wanted.sleeps else 0.0,
            hidden_devices=(*self.hidden_devices(options).values(),),
        )  # fmt: skip


def _check_warm_up(path: str, backend: Backend) -> None:
    """Raises InvalidRequest, with the field's name."""
    if ("POST", path) not in backend.api.inference:
        known = ", ".join(
            sorted(path for method, path in backend.api.inference if method == "POST")
        )
        with field_named("warm_up"):
            raise InvalidRequest(
                f"'warm_up' can't go to {path[:80]!r} of the backend {backend.name}; it has {known}"
            )
