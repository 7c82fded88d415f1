"""What happened to an instance."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from llamactl.core.lifecycle import State


class EventBody(BaseModel):
    id: int
    at: float = Field(description="Unix seconds")
    instance: str = Field(description="its name, then")
    event: str
    from_state: State
    to_state: State = Field(description="the same as from_state where it is no transition")
    generation: int
    cause: str
    details: dict[str, Any]
