"""The server itself, and how it says that it can't."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from llamactl.schemas.backends import BackendBody


class HealthBody(BaseModel):
    """Health of the server."""

    status: Literal["ok", "degraded"] = Field(
        description="`ok`, or `degraded` if something does not work"
    )
    degraded: list[str] | None = Field(
        None, description="parts that do not work; running instances are still served"
    )


class UpgradeBody(BaseModel):
    """The process that has taken over."""

    pid: int = Field(description="process ID of the new process")


class SystemBody(BaseModel):
    """The server itself."""

    version: str = Field(description="version of llamactl")
    commit: str = Field(description='commit of the source, or "unknown"')
    built: str = Field(
        description='build time in ISO 8601, or commit time for a checkout, or "unknown"'
    )
    python: str = Field(description="version of Python")
    system: str = Field(description="operating system and machine")
    cpus: int = Field(description="number of CPUs")
    pid: int = Field(description="process ID of llamactl")
    began: float = Field(description="Unix seconds at which this process began to serve")
    data_dir: str = Field(description="data directory")
    engine: str = Field(description="engine that would serve a llama.cpp instance now")
    degraded: list[str] = Field(description="parts that do not work")
    auth: bool = Field(description="whether management needs a key")
    api_docs: bool = Field(description="whether /swagger/ is served")
    backends: list[BackendBody] = Field(description="kinds of engines")


class FindingBody(BaseModel):
    """One finding of the doctor."""

    level: Literal["ok", "warning", "failure"] = Field(description="severity")
    about: str = Field(description="what was checked")
    said: str = Field(description="what was found")
    advice: str = Field(description="what to do, if anything")


class ErrorBody(BaseModel):
    """An error response."""

    error: str = Field(description="what was tried, what happened, what to do")
    code: str = Field(description="stable code, for programs")
    details: dict[str, Any] | None = Field(None, description="additional information, by name")
