"""The containers of a node: prepared, adopted, and those that nobody knows removed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Set
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from llamactl.backends import backend_of
from llamactl.core.errors import InvalidOption, LaunchFailed
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Container
from llamactl.core.ports.node import Image, LaunchSpec, PullProgress
from llamactl.core.secrets.masking import masked, secrets_of
from llamactl.node.container.arguments import Create, besides, env_file
from llamactl.node.container.client import Client
from llamactl.node.container.failures import ContainerError, EngineDown, NoSuchContainer
from llamactl.node.container.follower import LogFollower
from llamactl.node.container.group import ContainerGroup
from llamactl.node.container.images import missing, pulled
from llamactl.node.container.mounts import mounts_of
from llamactl.node.engine.command import Command
from llamactl.node.engine.engine_process import EngineProcess
from llamactl.node.engine.launch import Launchable, headline, record_of
from llamactl.node.host import gpus
from llamactl.node.logs.log import InstanceLog
from llamactl.node.process import ports
from llamactl.node.process.process import Ended
from llamactl.observe import logger

_KINDS = ("docker", "podman")
_OWNER, _REPLICA = "llamactl.node", "llamactl.replica"
_AGAIN_S, _TRIES = 0.25, 12  # for all that are to be adopted, while nothing is served yet
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
log = logger("node")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an engine in a container is reached, and what it says goes."""

    port: int
    key: str
    log: InstanceLog


class Containers:
    """One per node."""

    def __init__(self, node_id: str, data: Path, environ: Mapping[str, str]) -> None:
        self._node_id = node_id
        self._owner = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:16]
        self._used = data / "containers"  # names of the container engines that had any of ours
        self._environ = environ
        self._groups: list[ContainerGroup] = []
        self._tries = _TRIES
        self._creating: set[int] = set()  # ports
        self._turns: dict[str, asyncio.Lock] = {}

    def __repr__(self) -> str:
        return f"<Containers of {self._owner}: {len(self._groups)}>"

    async def client(self, container: Container) -> Client:
        """Of the engine that is asked for. Raises EngineDown."""
        wanted = _KINDS if container.engine == "auto" else (container.engine,)
        failure = EngineDown(
            f"none of {', '.join(wanted)} was found on the PATH",
            f"{' and '.join(wanted)} {'are' if len(wanted) > 1 else 'is'} not installed; install "
            "a container engine, or leave `container` out",
        )
        for client in filter(None, (Client.find(kind, self._environ) for kind in wanted)):
            try:
                await client.check()
            except EngineDown as exc:
                failure = exc
            else:
                return client
        raise failure

    @property
    def ports(self) -> frozenset[int]:
        """Of containers that are being created."""
        return frozenset(self._creating)

    def turn(self, replica_id: str) -> asyncio.Lock:
        """One container at a time is prepared for a replica."""
        return self._turns.setdefault(replica_id, asyncio.Lock())

    def forget(self, replica_id: str) -> None:
        self._turns.pop(replica_id, None)

    async def missing_image(self, container: Container, its_log: InstanceLog) -> Image | None:
        """Raises LaunchFailed or OSError."""
        try:
            image = await missing(await self.client(container), container)
        except ContainerError as exc:
            raise _launch_failed(exc) from exc
        if image is not None:
            os.close(its_log.open(f"--- pulling the image {image.reference}")[0])
        return image

    async def pull(self, image: Image) -> AsyncGenerator[PullProgress]:
        """Raises LaunchFailed."""
        try:
            client = await self.client(Container(engine=image.engine))
            async with aclosing(pulled(client, image)) as progress:
                async for one in progress:
                    yield one
        except ContainerError as exc:
            raise _launch_failed(exc) from exc

    async def prepare(
        self, launchable: Launchable, its_log: InstanceLog, taken: Callable[[], Set[int]],
        address: str,
    ) -> EngineProcess:  # fmt: skip
        """A container that waits for its release. `taken`: ports. `address`: of this node.

        Raises LaunchFailed, LlamactlError or OSError.
        """
        port = 0
        try:
            client = await self._ready(launchable)
            port = ports.choose(launchable.spec.ports, taken() | self.ports, address)
            self._creating.add(port)
            place = Place(port, secrets.token_urlsafe(32), its_log)
            return await self._create(client, launchable, place)
        except ContainerError as exc:
            raise _launch_failed(exc) from exc
        finally:
            self._creating.discard(port)

    async def _ready(self, launchable: Launchable) -> Client:
        """Nothing is left of an earlier container of its."""
        container = launchable.container
        assert container is not None
        client = await self.client(container)
        self._note(client)
        await self._clear(client, f"{_REPLICA}={launchable.spec.replica_id}", ())
        await _check_gpus(container)
        return client

    async def _create(self, client: Client, launchable: Launchable, place: Place) -> EngineProcess:
        spec, command = launchable.spec, launchable.command(place.port, place.key, {})
        given = self._given(launchable, command)
        hidden = {name: value for name, value in given.environment.items() if client.reads(name)}
        shown = _shown(client.kind, given, place.key)
        fd, log_start = place.log.open(headline(spec.generation, replace(command, shown=shown)))
        try:
            container = await client.create(
                given.argv(client.kind, hidden), besides(given.environment, hidden),
                env_file(hidden),
            )  # fmt: skip
            group = ContainerGroup(client, container, place.log, fd)
        except BaseException:
            os.close(fd)
            raise
        self._groups = [one for one in self._groups if not one.exited.done()] + [group]
        record = record_of(launchable, command, place.port, place.key, self._node_id)
        record = replace(
            record, command=shown, container=f"{client.kind}:{container}", log_start=log_start,
            engine=f"{given.container.image} ({client.kind})",
        )  # fmt: skip
        configured = secrets_of(asdict(spec.engine))
        backend = backend_of(spec.options.backend_type)
        return EngineProcess(group, backend, record, place.log, secrets=configured)

    async def command_of(self, launchable: Launchable, command: Command, key: str) -> list[str]:
        """What `create` would run, secrets masked. Raises InvalidOption."""
        assert launchable.container is not None
        kind = "docker" if launchable.container.engine == "auto" else launchable.container.engine
        with suppress(ContainerError):
            kind = (await self.client(launchable.container)).kind
        try:
            given = self._given(launchable, command)
        except ContainerError as exc:
            raise InvalidOption(f"no container can be created: {exc.said}; correct it") from exc
        return [*_shown(kind, given, key)]

    async def obstacle(self, container: Container) -> str:
        """Why a start would fail now, and what to do; "" where nothing is known."""
        try:
            client = await self.client(container)
            await _check_gpus(container)
            await missing(client, container)
        except ContainerError as exc:
            return exc.cause.advice
        return ""

    async def adopt(
        self, record: ProcessRecord, its_log: InstanceLog | None
    ) -> ContainerGroup | Ended:
        """The recorded container, if it runs; otherwise it is removed, and this is how it ended."""
        kind, _, container = record.container.partition(":")
        client = Client.find(kind, self._environ)
        while client is not None:
            try:
                state = await client.inspect(container)
            except NoSuchContainer:
                if its_log is not None:
                    LogFollower(client, container, its_log).forget()
                return Ended(None, None)
            except ContainerError as exc:
                if self._tries == 0:
                    return Ended(None, None, cause=exc.cause)
                self._tries -= 1
                await asyncio.sleep(_AGAIN_S)
                continue
            if state.labels.get(_REPLICA) != record.replica_id:  # it is somebody else's
                return Ended(None, None)
            group = ContainerGroup(client, container, its_log, running=True)
            group.look_at(state)
            if not state.is_running:
                return await group.exited
            self._groups.append(group)
            return group
        return Ended(None, None, cause=EngineDown(f"{kind} is not installed").cause)

    async def sweep(self, known: Collection[str]) -> None:
        """Remove what an earlier llamactl of this data directory left; `known`: those we have."""
        for kind in self._kinds_used():
            client = Client.find(kind, self._environ)
            if client is not None:
                with suppress(ContainerError):  # it is removed before its replica's next start
                    await self._clear(client, f"{_OWNER}={self._owner}", known)

    async def close(self) -> None:
        """Let go of all; what runs keeps running."""
        await asyncio.gather(*(group.close() for group in self._groups))

    async def _clear(self, client: Client, label: str, known: Collection[str]) -> None:
        for container in await client.labelled(label):
            if f"{client.kind}:{container}" not in known:
                state = await client.inspect(container)
                if state.labels.get(_OWNER) == self._owner:
                    log.warning("container_removed", container=container[:12], reason="left over")
                    await client.remove(container)

    def _given(self, launchable: Launchable, command: Command) -> Create:
        spec, container = launchable.spec, launchable.container
        assert container is not None
        program = launchable.engine.argv
        return Create(
            _name(spec, self._owner),
            {
                "llamactl.instance": spec.name, _REPLICA: spec.replica_id,
                "llamactl.generation": str(spec.generation), _OWNER: self._owner,
            },
            container,
            mounts_of(launchable),
            {**command.environment, **container.env},
            program[0] if program else "",
            command.argv[len(program) :],
        )  # fmt: skip

    def _kinds_used(self) -> list[str]:
        with suppress(OSError):
            return [kind for kind in self._used.read_text().split() if kind in _KINDS]
        return []

    def _note(self, client: Client) -> None:
        if client.kind not in (used := self._kinds_used()):
            self._used.write_text("\n".join([*used, client.kind]) + "\n")


async def _check_gpus(container: Container) -> None:
    """Raises ContainerError."""
    if container.gpus and not await asyncio.to_thread(gpus.totals):
        raise ContainerError(
            "no GPU was found", FailureClass.GPU,
            "container.gpus asks for a GPU, but this machine shows none; install its driver, or "
            "remove container.gpus",
        )  # fmt: skip


def _launch_failed(exc: ContainerError) -> LaunchFailed:
    cause = exc.cause
    lines = tuple(masked(exc.said.splitlines()[-20:]))
    line = lines[-1] if lines else ""
    return LaunchFailed(
        ExitReport(cause.failure, advice=cause.advice, log_tail=lines, error_line=line)
    )


def _name(spec: LaunchSpec, owner: str) -> str:
    """Unique for each process; a name may be taken by another llamactl on this machine."""
    shown = _NOT_IN_NAMES.sub("-", spec.name)[:64]
    return f"llamactl-{shown}-{spec.generation}-{owner[:4]}{spec.replica_id[:8]}"


def _shown(kind: str, given: Create, key: str) -> tuple[str, ...]:
    words = [kind, "create", *given.argv(kind)]
    return tuple(masked([word.replace(key, "********") for word in words]))
