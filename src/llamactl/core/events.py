"""What happened to an instance: a row for each transition, and for what was decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llamactl.core.instance import InstanceOptions
from llamactl.core.lifecycle import State


@dataclass(frozen=True, slots=True)
class InstanceEvent:
    at: float  # Unix seconds
    instance_id: str
    name: str  # of the instance, then
    generation: int
    epoch: int
    event: str
    from_state: State
    to_state: State  # the same if it is not a transition
    cause: str
    details: Mapping[str, object] = field(default_factory=dict)  # fit for JSON
    id: int = 0  # of the row, in the order of writing


@dataclass(frozen=True, slots=True)
class ProcessId:
    """Names one process of a replica for ever."""

    replica_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A ledger entry: enough to recognise the process later and to manage it again.

    A pid proves nothing, because pids are reused; together with the kernel's start
    time and the boot id it names one process for ever.
    """

    replica_id: str
    node_id: str
    instance_id: str
    generation: int
    pid: int
    start_time: int  # clock ticks since boot, /proc/PID/stat field 22
    boot_id: str
    port: int
    key: str = field(repr=False)  # the engine's own, for this process
    engine: str  # for people
    command: tuple[str, ...]  # argv, secrets masked
    options: InstanceOptions  # as they were when it began
    spec_hash: str  # of what people gave for its command: options and settings
    log_start: int  # where its part of the log begins
    container: str = ""  # `docker:ID`, which names it for ever; its pid is 0 until it starts

    @property
    def process(self) -> ProcessId:
        return ProcessId(self.replica_id, self.generation)
