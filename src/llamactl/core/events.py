"""The story of an instance: one row for each transition."""

from __future__ import annotations

from dataclasses import dataclass

from llamactl.core.lifecycle import State


@dataclass(frozen=True, slots=True)
class InstanceEvent:
    at: float  # Unix seconds
    instance_id: str
    generation: int
    epoch: int
    event: str
    from_state: State
    to_state: State
    cause: str


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A ledger entry: enough to recognise the process after a restart of llamactl.

    A pid alone proves nothing, as pids are used again; together with the kernel's start
    time and the boot id it names one process for ever.
    """

    instance_id: str
    generation: int
    pid: int
    start_time: int  # clock ticks since boot, /proc/PID/stat field 22
    boot_id: str
    port: int
    argv_digest: str
