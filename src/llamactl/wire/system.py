"""The server itself, and how it says that it can't."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class HealthBody(BaseModel):
    status: Literal["ok", "degraded"]
    degraded: list[str] | None = Field(
        None, description="what does not work now; instances that run are served all the same"
    )


class UpgradeBody(BaseModel):
    pid: int = Field(description="of the process that has taken over")


class SystemBody(BaseModel):
    version: str
    commit: str = Field(description='of the source; "unknown" where nobody wrote it down')
    built: str = Field(description='when, in ISO 8601; of a checkout its commit; or "unknown"')
    python: str
    system: str = Field(description="operating system and machine")
    cpus: int
    pid: int
    began: float = Field(description="Unix seconds at which this process began to serve")
    data_dir: str
    engine: str = Field(description="that would serve a llama.cpp instance now")
    degraded: list[str] = Field(description="what does not work now")
    auth: bool = Field(description="management needs a key")
    api_docs: bool = Field(description="/swagger/ is served")


class FindingBody(BaseModel):
    level: Literal["ok", "warning", "failure"]
    about: str
    said: str
    advice: str = Field(description="what to do, where there is something to do")


class ErrorBody(BaseModel):
    error: str
    code: str
    details: dict[str, Any] | None = None
