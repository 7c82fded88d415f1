"""Who is signed in."""

from __future__ import annotations

from pydantic import BaseModel, Field


class SignInRequest(BaseModel, extra="forbid"):
    key: str = Field(max_length=500, description="a management key, or an inference key")


class LinkSignInRequest(BaseModel, extra="forbid"):
    token: str = Field(max_length=500, description="the token of a sign-in link")


class SignInLinkBody(BaseModel):
    path: str = Field(
        description="path of the page, relative to llamactl's address; its fragment has the token, "
        "unless no sign-in is needed"
    )
    lasts_s: float | None = Field(
        description="seconds after which the link expires; null if no sign-in is needed"
    )


class SessionBody(BaseModel):
    management: bool = Field(description="whether it has full access; otherwise only chat")
    key_name: str = Field(description="name of the inference key")
    key_id: str = Field(
        "", description="identifies the key without revealing it; empty if no sign-in is needed"
    )
    expires_at: int | None = Field(description="Unix seconds; null if no sign-in is needed")
    version: str = Field(description="version of llamactl")
    persisted: bool = Field(
        True, description="whether the store has saved it; if not, it ends with this process"
    )


class SignedOutBody(BaseModel):
    """The session has ended, but the store has not saved that yet."""

    persisted: bool = Field(description="whether the store has saved it")
    survives_restart: bool = Field(
        description="whether it is on disk; if not, it is lost with this process unless persisted"
    )


class PageBody(BaseModel):
    path: str = Field(description="path of the engine's own page, relative to llamactl's address")
    idle_s: float = Field(description="seconds without use after which it expires")
