"""Inference keys."""

from __future__ import annotations

from pydantic import BaseModel, Field

from llamactl.core.keys import PermissionMode


class KeyRequest(BaseModel, extra="forbid"):
    name: str = Field(min_length=1, max_length=200)
    priority: int = Field(0, ge=-10, le=10, description="each step doubles its share of places")
    permission_mode: PermissionMode = PermissionMode.ALLOW_ALL
    instances: list[str] = Field(default=[], max_length=10_000)
    expires_at: int | None = Field(default=None, description="Unix seconds", le=2**62)


class KeyBody(BaseModel):
    id: str
    name: str
    permission_mode: PermissionMode
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    priority: int
    revoked: bool = Field(False, description="it is refused, and goes when the store has that")
    persisted: bool = Field(True, description="the store has this")


class NewKeyBody(KeyBody):
    key: str = Field(description="the secret; shown this once")


class RevokedBody(BaseModel):
    """The key is refused from now on, and the store does not have that yet."""

    id: str = Field(description="of the key")
    persisted: bool = Field(description="the store has it")
    survives_restart: bool = Field(
        description="it is on the disk; else it lasts as long as this process until it is persisted"
    )


class PermissionsBody(BaseModel):
    permission_mode: PermissionMode
    instances: list[str]
