"""A node: where engines run. It obeys and reports, and decides nothing.

Only values cross between it and those who decide, so that it may be this process, or one on
another machine.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal, Protocol

from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.exits import ExitReport, NotServing
from llamactl.core.instance import Container, InstanceOptions
from llamactl.core.memory import MeasuredMemory
from llamactl.core.model import Offer
from llamactl.core.ports.contexts import ContextLimits, ContextReport, StoredContext
from llamactl.core.ports.engines import LogFile
from llamactl.core.ports.warm_up import WarmUp, WarmUpReport

LOCAL = "local"  # the id of the node on this machine


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """For people."""

    id: str
    name: str
    state: Literal["here", "up", "away"]
    address: str = ""
    version: str = ""  # of llamactl
    ram: int | None = None  # bytes
    gpus: Mapping[str, int] = field(default_factory=dict)  # bytes
    drained: bool = False  # nothing starts there
    labels: Mapping[str, str] = field(default_factory=dict)
    out_of_service: Sequence[str] = ()  # names of its GPUs


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the settings of a backend say of its engine."""

    command: str = ""
    args: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    container: Container = field(default_factory=Container)
    in_container: bool = False  # do its instances run in one, unless they say otherwise?
    command_given: bool = False  # by people, and not a default


@dataclass(frozen=True, slots=True)
class PortChoice:
    """Which port a process gets: the fixed one, else the preferred one if it is free, else any."""

    low: int
    high: int
    fixed: int | None = None
    preferred: int | None = None
    taken: frozenset[int] = frozenset()  # by others, or of no use


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """All that a node needs to know to bring an engine up."""

    replica_id: str
    instance_id: str
    name: str  # of the instance
    generation: int
    options: InstanceOptions
    engine: EngineSettings
    ports: PortChoice
    trusted: bool = False  # the server's owner wrote it: the settings don't confine it
    drain_s: int = 0  # seconds that its last requests may take, once it is asked to end
    keeps_context: bool = False  # what its slots hold outlives it, where its engine can do that
    sleep_s: float = 0.0  # seconds without requests until it is to sleep, where it can; 0: never
    hidden_devices: tuple[str, ...] = ()  # ids of GPUs that its engine is not to see

    @property
    def process(self) -> ProcessId:
        return ProcessId(self.replica_id, self.generation)


@dataclass(frozen=True, slots=True)
class Image:
    """Of containers, as its engine names it."""

    engine: str  # docker or podman
    reference: str
    is_there: bool = False  # it is only to be renewed


@dataclass(frozen=True, slots=True)
class PullProgress:
    """Of the parts that were begun."""

    done: int  # bytes
    total: int


@dataclass(frozen=True, slots=True)
class WakeReport:
    slept: bool  # until now, so that its slots are empty
    failure: str = ""  # why it does not serve


class Node(Protocol):
    """Every call may be repeated, and arrive late: what is done already is done once.

    Each raises UnknownProcess for a process that the node does not have.
    """

    @property
    def id(self) -> str: ...

    @property
    def address(self) -> str:
        """Where the ports of its engines are reached."""
        ...

    async def missing_image(self, spec: LaunchSpec) -> Image | None:
        """What has to be pulled before `prepare`. Raises LaunchFailed if it may not be."""
        ...

    def pull(self, image: Image) -> AsyncGenerator[PullProgress]:
        """Until it is there, or the generator is closed. Raises LaunchFailed."""
        ...

    def read_ahead(self, spec: LaunchSpec, rate: float) -> AsyncGenerator[int]:
        """Have its model's files in the page cache, by `rate` bytes a second.

        Yields how many bytes were read so far. Until they are there, where memory is short or
        the settings forbid it at once, or until the generator is closed.
        """
        ...

    async def prepare(self, spec: LaunchSpec) -> ProcessRecord:
        """Spawn a process that waits for `release`, and enter it in the node's ledger.

        Raises LaunchFailed with nothing left running, and UnknownProcess for a process that is
        past: a call that comes late starts nothing.
        """
        ...

    async def release(self, process: ProcessId) -> ProcessRecord:
        """Let the engine start; the record, with what could not be known before."""
        ...

    async def adopt(self, record: ProcessRecord, name: str) -> ExitReport | None:
        """Take the recorded process of the instance over, if it is provably that one and alive.

        None if it is. Otherwise what is left of it is ended, and this is how it ended.
        """
        ...

    async def terminate(self, process: ProcessId, grace: float, *, explain: bool = True) -> bool:
        """Ask a process to end; kill it after `grace` seconds, and return True.

        `explain`: its report is to say what its log says of the reason.
        """
        ...

    def kill(self, process: ProcessId) -> None:
        """Have a process and all it started killed; does not wait for it, and raises nothing."""
        ...

    async def wait_exit(self, process: ProcessId) -> ExitReport:
        """Return when it has ended; known for the last few processes of each replica."""
        ...

    async def until_ready(self, process: ProcessId, *, prove_key: bool) -> NotServing | None:
        """Return None once it serves, or why it never will.

        `prove_key`: it was adopted; return why it can't be proved to be ours by its key.
        """
        ...

    async def is_healthy(self, process: ProcessId, seconds: float) -> bool:
        """Does it answer within that time?"""
        ...

    async def sleep(self, process: ProcessId, seconds: float, turn: int) -> str:
        """Have a process that serves nobody fall asleep; why it did not, "" if it did.

        Once begun, it goes to its end when the call is cancelled. `turn`: grows with each call of
        this and of `wake`, so that one that comes late does nothing.
        """
        ...

    async def wake(self, process: ProcessId, seconds: float, turn: int) -> WakeReport:
        """Return when it serves again, or can't. What did not sleep is left as it is."""
        ...

    async def is_asleep(self, process: ProcessId) -> bool | None:
        """Without waking it; None if it doesn't tell."""
        ...

    async def warm_up(self, process: ProcessId, request: WarmUp, seconds: float) -> WarmUpReport:
        """Send it this before anybody else's request; cancelling, or its end, calls that off."""
        ...

    async def save_context(
        self, process: ProcessId, limits: ContextLimits, keys: Set[str], asked: str
    ) -> ContextReport:
        """What its slots hold, for the next process of its instance.

        `keys`: ids of those that may have written in it. `asked`: by the last request to it.
        """
        ...

    async def restore_context(self, process: ProcessId, limits: ContextLimits) -> ContextReport:
        """What was saved, into a process that serves nobody yet."""
        ...

    async def context_used(self, process: ProcessId, *, used: bool) -> int:
        """By its next requests, or not; how often in a row it was not, of this model and build.

        After `context_reuse.MISSES` its contexts are neither saved nor restored.
        """
        ...

    async def unused_contexts(self) -> frozenset[str]:
        """Sorts of definitions, as `backends.contexts.sort_of`, whose contexts are not kept."""
        ...

    async def contexts(self) -> Sequence[StoredContext]: ...

    async def drop_contexts(self, *, instance_id: str = "", key: str = "") -> int:
        """Of an instance, of a key, or all; how many there were."""
        ...

    async def measure(self, process: ProcessId) -> MeasuredMemory | None:
        """What it takes of the memory; None if that can't be measured."""
        ...

    async def prepared(self) -> Sequence[ProcessRecord]:
        """What the ledger says was prepared here and did not end, as far as the node saw."""
        ...

    async def end(self, records: Sequence[ProcessRecord], grace: float) -> Sequence[ProcessRecord]:
        """End the recorded processes that are provably ours; return those."""
        ...

    async def permit(self, options: InstanceOptions) -> None:
        """Raise ForbiddenBySettings where the settings keep the API from such a definition."""
        ...

    async def replaced(self, options: InstanceOptions, seconds: float) -> bool:
        """Did a file that the options name come, or change, within the last seconds?"""
        ...

    async def command_of(self, spec: LaunchSpec) -> Sequence[str]:
        """What `prepare` would run, secrets masked.

        Raises EngineMissing, ForbiddenBySettings or UnknownModel.
        """
        ...

    async def obstacle(self, spec: LaunchSpec) -> str:
        """Why `prepare` would fail now, and what to do; "" where nothing is known."""
        ...

    async def offer(
        self, options: InstanceOptions, engine: EngineSettings, process: ProcessId | None
    ) -> Offer:
        """What such an engine serves, by its files; `process`: and by what that one says."""
        ...

    async def numbers(self, process: ProcessId) -> Mapping[str, str]:
        """What its engine counts, in Prometheus's form, by model; "": it has only one."""
        ...

    def log(self, name: str) -> LogFile:
        """Of the instance of this name."""
        ...

    async def forget(self, replica_id: str, name: str) -> None:
        """The instance was deleted: remove its log, and what is known of its processes."""
        ...
