"""Inference keys."""

from __future__ import annotations

from pydantic import BaseModel, Field

from llamactl.core.keys import PermissionMode


class KeyRequest(BaseModel, extra="forbid"):
    name: str = Field(min_length=1, max_length=200)
    priority: int = Field(
        0, ge=-10, le=10, description="each step doubles the key's share of places"
    )
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
    revoked: bool = Field(
        False, description="whether it is revoked and waiting to be deleted from the store"
    )
    persisted: bool = Field(True, description="whether the store has saved this")


class NewKeyBody(KeyBody):
    key: str = Field(description="the secret; shown only once")


class RevokedBody(BaseModel):
    """The key is revoked, but the store has not saved that yet."""

    id: str = Field(description="ID of the key")
    persisted: bool = Field(description="whether the store has saved it")
    survives_restart: bool = Field(
        description="whether it is on disk; if not, it is lost with this process unless persisted"
    )


class PermissionsBody(BaseModel):
    permission_mode: PermissionMode
    instances: list[str]
