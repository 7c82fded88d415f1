"""What happened to an instance."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from llamactl.core.lifecycle import State


class EventBody(BaseModel):
    """What happened to an instance, and why."""

    id: int = Field(description="which grows with time")
    at: float = Field(description="Unix seconds")
    instance: str = Field(description="its name, then")
    event: str = Field(description="what happened, such as BecameReady or Evicted")
    from_state: State = Field(description="before it")
    to_state: State = Field(description="the same as from_state if nothing changed")
    generation: int = Field(description="of the process then")
    cause: str = Field(description="why")
    details: dict[str, Any] = Field(description="further facts, by name")
