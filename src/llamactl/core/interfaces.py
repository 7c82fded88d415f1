"""The edge, as the use cases see it. Implemented in runtime, store and proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

from llamactl.core.errors import LlamactlError
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import Aftermath, ExitReport, ServedRequest
from llamactl.core.instance import Instance, InstanceOptions
from llamactl.core.keys import Caller
from llamactl.core.lease import Lease
from llamactl.core.lifecycle import Event, Lifecycle, State
from llamactl.core.memory import Need, Usage
from llamactl.core.model import Offer
from llamactl.core.routes import ReadyInstance


class UnitOwner(Protocol):
    """What a unit reports to, and asks of, the control above it."""

    def moved(self, before: Lifecycle, after: Lifecycle) -> None: ...

    async def measured(self, instance: Instance, usage: Usage) -> None:
        """What a process takes of the memory now, and the definition it was started by."""
        ...

    async def readmitted(self) -> str:
        """Wait for a place to restart in; why there is none, or "". Cancelling gives it up."""
        ...


class Leases(Protocol):
    """How many requests hold an instance, and whether it answers them."""

    def grant(self, instance_id: str, endpoint: ReadyInstance) -> Lease[str]:
        """At once, so that the instance can't be found idle in between."""

    def count(self, instance_id: str) -> int: ...

    def last_used(self, instance_id: str) -> float:
        """Monotonic seconds of the last release; 0.0 if there was none."""

    def silences(self, instance_id: str) -> int:
        """How many requests in a row got no byte from the engine."""

    def answered(self, instance_id: str) -> None:
        """It is not silent."""

    async def silent(self, instance_id: str, seen: int) -> None:
        """Return as soon as there are more silences than `seen`."""

    def in_flight(self, instance_id: str, generation: int) -> Sequence[ServedRequest]:
        """Some of the requests that a process serves, or dropped just now."""

    def forget(self, instance_id: str) -> None:
        """It was deleted."""

    async def drained(self, instance_id: str) -> None:
        """Return as soon as no lease is held."""
        ...

    async def idle_for(self, instance_id: str, seconds: float) -> None:
        """Return once no lease has been held for that long."""
        ...


class Runner(Protocol):
    """One instance's lifecycle, driven by the runtime; the only writer of its state."""

    @property
    def now(self) -> Lifecycle: ...

    @property
    def since(self) -> float:
        """Unix seconds when the present state was entered."""
        ...

    async def ask(self, command: Event) -> Lifecycle:
        """Post a command or a fact; return the lifecycle right after it."""
        ...

    async def wait(self, until: Callable[[Lifecycle], bool]) -> Lifecycle:
        """Return the first lifecycle, the present one included, for which `until` holds."""
        ...

    async def retire(self, cause: str, *, force: bool) -> None:
        """Drain, unless by force, and stop for good; further starts are refused.

        Returns when nothing runs.
        """
        ...

    def revive(self) -> None:
        """Take `retire` back."""
        ...

    async def pause(self) -> None:
        """Return between two events; the next one waits until `resume`."""
        ...

    def resume(self) -> None: ...

    async def close(self, error: LlamactlError | None = None) -> None:
        """End the runner's task. Its process, if any, keeps running.

        `error`: for those who wait.
        """
        ...


class Unit(Protocol):
    """An instance on a machine: its runner and what can be seen of its process."""

    @property
    def runner(self) -> Runner: ...

    @property
    def ready(self) -> ReadyInstance | None: ...

    @property
    def drain_limit(self) -> float:
        """Seconds that a drain may take now."""
        ...

    @property
    def pid(self) -> int | None: ...

    @property
    def port(self) -> int | None: ...

    @property
    def last_exit(self) -> ExitReport | None: ...

    def end_of(self, generation: int) -> ExitReport | None:
        """How this process ended; None if it is running, or the status is lost."""

    @property
    def argv(self) -> Sequence[str]:
        """The command line of the present or last process, secrets masked."""
        ...

    @property
    def engine(self) -> str: ...

    def redefine(self, instance: Instance) -> bool:
        """Use this definition from the next start on; True if the command would change."""
        ...

    def would_restart(self, instance: Instance) -> bool:
        """Would the command change with this definition?"""
        ...

    def use_settings(self) -> None:
        """Apply changed limits, also to what has already begun."""
        ...

    @property
    def idle_left(self) -> float | None:
        """Seconds until it is stopped as idle, if nobody asks for it; None: not by itself."""
        ...

    @property
    def vouched(self) -> bool:
        """Was its process handed over by one who lives, and was it in service?"""
        ...

    @property
    def is_current(self) -> bool:
        """Was its process, if there is one, begun by what people give for it now?"""
        ...

    def find(self, record: ProcessRecord, before: State, *, vouched: bool) -> bool:
        """Take the recorded process over, if it is provably that one and alive.

        `before`: the state in which the instance was lost; `vouched`: whoever had it until now
        lives, so that need not be proved. It is watched once its lifecycle has it adopted.
        """
        ...

    def kill(self) -> None:
        """End the process group at once."""
        ...

    @property
    def log(self) -> LogFile: ...

    def clean(self) -> None:
        """Remove the log and what else was generated for the instance."""
        ...


class LogFile(Protocol):
    @property
    def path(self) -> Path: ...

    def close(self) -> None:
        """Let those who follow it go."""
        ...

    async def span(
        self, lines: int | None, *, since: float = 0.0, before: int | None = None
    ) -> tuple[int, int]:
        """Offsets of the last lines, or all, that end before this one, or as they stand now.

        Offsets count from the log's first byte for ever. `since`: Unix seconds, to within a
        second or so.
        """
        ...

    def stream(
        self, start: int, end: int, *, search: str = "", lines: int | None = None
    ) -> AsyncIterator[bytes]:
        """What is between two offsets, in chunks of bounded size.

        `search`: only lines with this text, the last `lines` of them.
        """
        ...

    def follow(
        self, start: int, *, search: str = "", lines: int | None = None
    ) -> AsyncIterator[bytes]:
        """From an offset on, then what is added, until the caller leaves."""
        ...


class Machine(Protocol):
    """Where instances run."""

    def unit(
        self,
        instance: Instance,
        lifecycle: Lifecycle,
        last_exit: ExitReport | None,
        owner: UnitOwner,
    ) -> Unit: ...

    def check(self, instance: Instance) -> None:
        """Raise InvalidOption where the instance could not be turned into a command.

        Conflict where its port is another's.
        """

    def check_options(self, options: InstanceOptions) -> None:
        """The same, without regard to other instances."""

    async def command_of(self, instance: Instance) -> Sequence[str]:
        """The command that would serve it, secrets masked; an unset port is shown as 0.

        Raises EngineMissing, ModelNotFound.
        """

    def offer(self, instance: Instance, ready: ReadyInstance | None = None) -> Awaitable[Offer]:
        """What it serves, by its files; `ready`: and by what its engine says of itself."""

    def end_ours(self, records: Sequence[ProcessRecord]) -> Awaitable[Sequence[ProcessRecord]]:
        """End the recorded processes that are provably ours; return those."""


class Activator(Protocol):
    """The one bridge from the data path to the control path."""

    def lease(self, name: str, caller: Caller) -> Coroutine[Any, Any, Lease[Any]]:
        """Return a lease once the instance is ready; it is started if it may be.

        Cancelling leaves the queue, and releases what was granted just then.
        """

    def ahead(self, name: str, caller: Caller) -> int:
        """How many instances that are waited for get their place before this one."""

    async def aftermath(self, name: str, generation: int) -> Aftermath:
        """What became of an engine that dropped a connection; its end is waited for, not long."""


class EngineProbe(Protocol):
    """Asks the configured engine about itself."""

    async def ask(self, flag: str) -> str:
        """Output of the engine called with one flag; kept until the engine is another.

        Raises EngineMissing.
        """
        ...


class MemoryBook(Protocol):
    """What instances take of the memory: estimated first, then learnt."""

    async def need(self, instance: Instance) -> Need: ...

    async def learn(self, instance: Instance, usage: Usage) -> bool:
        """Keep what was measured; True if it was news."""
        ...

    async def fell_short(self, instance: Instance, free: Need) -> None:
        """It found too little memory where this much was thought to be left."""
        ...
