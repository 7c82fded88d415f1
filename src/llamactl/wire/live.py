"""What goes on, as it goes on: the one stream that a page needs."""

from __future__ import annotations

from pydantic import BaseModel, Field

from llamactl.wire.events import EventBody
from llamactl.wire.instances import InstanceBody
from llamactl.wire.models import JobBody


class RateBody(BaseModel):
    """Of the answers that ended within a few seconds."""

    at: float = Field(description="Unix seconds")
    tokens_s: float = Field(description="tokens a second of one answer, from request to end")
    first_byte_s: float = Field(description="seconds to an answer's first content; mean")


class InstanceNumbers(BaseModel):
    """What changes of an instance while it serves."""

    leases: int = Field(description="requests that it is answering")
    waiting: int = Field(description="requests that wait for it to be ready")
    idle_left_s: float | None = Field(description="seconds until it is stopped as idle")
    rates: list[RateBody] = Field(description="oldest first; those that were not sent yet")


class MachineNumbers(BaseModel):
    """Bytes; null where they are unknown."""

    at: float = Field(description="Unix seconds")
    ram_total: int | None = Field(description="RAM of this machine")
    ram_free: int | None = Field(description="what can be had without swapping")
    ram_taken: int = Field(description="by instances, as the scheduler counts")
    ram_budget: int | None = Field(description="of instances together; null: no limit")
    gpus_taken: dict[str, int] = Field(description="by instances, by GPU")
    gpus_budget: dict[str, int] = Field(description="of instances together, by GPU")
    disk_free: int | None = Field(description="where the data directory is")
    leases: int = Field(description="requests that are being answered")
    running: int = Field(description="instances that have a process")


class LiveBody(BaseModel):
    """What is new since the last message; the first has all there is."""

    whole: bool = Field(description="instances not named here are gone")
    instances: list[InstanceBody] = Field(description="those that changed")
    gone: list[str] = Field(description="ids of deleted instances")
    numbers: dict[str, InstanceNumbers] = Field(description="by instance id; those that changed")
    machine: list[MachineNumbers] = Field(description="oldest first")
    events: list[EventBody] = Field(description="what happened since")
    jobs: list[JobBody] | None = Field(description="all downloads, if one changed")
