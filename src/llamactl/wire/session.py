"""Who is signed in."""

from __future__ import annotations

from pydantic import BaseModel, Field


class SignInRequest(BaseModel, extra="forbid"):
    key: str = Field(max_length=500, description="a management key, or an inference key")


class SessionBody(BaseModel):
    management: bool = Field(description="has full access; otherwise chat only")
    key_name: str = Field(description="of an inference key")
    expires_at: int | None = Field(description="Unix seconds; null: nobody had to sign in")
    version: str = Field(description="of llamactl")
    persisted: bool = Field(True, description="the store has it; else it ends with this process")


class SignedOutBody(BaseModel):
    """The session has ended, and the store does not have that yet."""

    persisted: bool = Field(description="the store has it")
    survives_restart: bool = Field(
        description="it is on the disk; else it lasts as long as this process until it is persisted"
    )


class PageBody(BaseModel):
    path: str = Field(description="of the engine's own page, below where llamactl is served")
    idle_s: float = Field(description="seconds without use after which it ends")
