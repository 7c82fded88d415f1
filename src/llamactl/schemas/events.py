"""What happened to an instance."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from llamactl.core.lifecycle import State


class EventBody(BaseModel):
    """An event of an instance, and its cause."""

    id: int = Field(description="ID, which increases with time")
    at: float = Field(description="Unix seconds")
    instance: str = Field(description="name of the instance at that time")
    event: str = Field(description="what happened, such as BecameReady or Evicted")
    from_state: State = Field(description="state before the event")
    to_state: State = Field(description="state after the event; same as from_state if unchanged")
    generation: int = Field(description="generation at that time")
    cause: str = Field(description="why")
    details: dict[str, Any] = Field(description="additional information, by name")
