"""Kept contexts of conversations."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ContextBody(BaseModel):
    """What one slot of an instance's engine held when it stopped."""

    instance: str = Field(description="name of the instance")
    instance_id: str = Field(description="ID of the instance")
    slot: int = Field(description="number of the slot")
    tokens: int = Field(description="number of tokens")
    size: int = Field(description="bytes on disk")
    saved_at: float = Field(description="Unix seconds when it was saved")
    used_at: float = Field(description="Unix seconds when it was last saved or restored")


class RemovedContextsBody(BaseModel):
    """What was removed."""

    removed: int = Field(description="number of contexts")
