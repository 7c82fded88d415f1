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
    reused_at: float | None = Field(
        None, description="Unix seconds when a request last used what this instance kept; null if "
        "none did since llamactl started",
    )  # fmt: skip
    spared_s: float = Field(
        0, description="about how many seconds of computing that spared this instance since "
        "llamactl started",
    )  # fmt: skip


class RemovedContextsBody(BaseModel):
    """What was removed."""

    removed: int = Field(description="number of contexts")
