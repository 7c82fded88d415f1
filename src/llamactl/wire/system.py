"""The server itself, and how it says that it can't."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from llamactl.wire.backends import BackendBody


class HealthBody(BaseModel):
    """Whether all works."""

    status: Literal["ok", "degraded"] = Field(description="whether all works")
    degraded: list[str] | None = Field(
        None, description="what does not work now; instances that run are served all the same"
    )


class UpgradeBody(BaseModel):
    """Who has taken over."""

    pid: int = Field(description="of the process that has taken over")


class SystemBody(BaseModel):
    """The server itself."""

    version: str = Field(description="of llamactl")
    commit: str = Field(description='of the source; "unknown" where nobody wrote it down')
    built: str = Field(description='when, in ISO 8601; of a checkout its commit; or "unknown"')
    python: str = Field(description="its version")
    system: str = Field(description="operating system and machine")
    cpus: int = Field(description="of this machine")
    pid: int = Field(description="of llamactl")
    began: float = Field(description="Unix seconds at which this process began to serve")
    data_dir: str = Field(description="where it keeps its data")
    engine: str = Field(description="that would serve a llama.cpp instance now")
    degraded: list[str] = Field(description="what does not work now")
    auth: bool = Field(description="management needs a key")
    api_docs: bool = Field(description="/swagger/ is served")
    backends: list[BackendBody] = Field(description="kinds of engines")


class FindingBody(BaseModel):
    """One thing that the doctor looked at."""

    level: Literal["ok", "warning", "failure"] = Field(description="how bad it is")
    about: str = Field(description="what was looked at")
    said: str = Field(description="what was found")
    advice: str = Field(description="what to do, where there is something to do")


class ErrorBody(BaseModel):
    """How every failure is answered."""

    error: str = Field(description="what was tried, what happened, what to do")
    code: str = Field(description="stable, for programs")
    details: dict[str, Any] | None = Field(None, description="further facts, by name")
