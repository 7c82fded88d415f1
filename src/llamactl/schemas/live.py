"""The live event stream for the web page."""

from __future__ import annotations

from pydantic import BaseModel, Field

from llamactl.schemas.events import EventBody
from llamactl.schemas.instances import InstanceBody
from llamactl.schemas.models import JobBody


class RateBody(BaseModel):
    """Averages over the responses that ended within a few seconds."""

    at: float = Field(description="Unix seconds")
    tokens_s: float = Field(description="tokens per second of one response, from request to end")
    first_byte_s: float = Field(description="mean seconds to the first content of a response")


class InstanceNumbers(BaseModel):
    """Values of an instance that change while it serves."""

    leases: int = Field(description="running requests")
    waiting: int = Field(description="requests waiting for it to be ready")
    idle_left_s: float | None = Field(description="seconds until it is stopped as idle")
    rates: list[RateBody] = Field(description="new entries, oldest first")


class MachineNumbers(BaseModel):
    """Memory and disk in bytes; null if unknown."""

    at: float = Field(description="Unix seconds")
    ram_total: int | None = Field(description="memory of this machine in bytes")
    ram_free: int | None = Field(description="memory available without swapping")
    ram_taken: int = Field(description="memory used by instances, as counted by the scheduler")
    ram_budget: int | None = Field(
        description="limit for all instances together; null if unlimited"
    )
    gpus_taken: dict[str, int] = Field(description="used by instances, per GPU")
    gpus_budget: dict[str, int] = Field(description="limit for all instances together, per GPU")
    disk_free: int | None = Field(
        description="free space on the disk with the data directory, in bytes"
    )
    leases: int = Field(description="running requests")
    running: int = Field(description="instances with a process")
    next_out: dict[str, str] = Field(
        default_factory=dict,
        description="by device, RAM or a GPU: ID of the instance that leaves first if a request "
        "needs room there",
    )


class LiveBody(BaseModel):
    """Changes since the last message; the first message contains everything."""

    whole: bool = Field(description="if true, instances not listed here no longer exist")
    instances: list[InstanceBody] = Field(description="instances that changed")
    gone: list[str] = Field(description="IDs of deleted instances")
    numbers: dict[str, InstanceNumbers] = Field(description="by instance ID; only changes")
    machine: list[MachineNumbers] = Field(description="oldest first")
    events: list[EventBody] = Field(description="new events")
    jobs: list[JobBody] | None = Field(description="all downloads, if any changed")
