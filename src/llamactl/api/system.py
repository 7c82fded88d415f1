"""Versions, the engine's own words, health."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field

from llamactl import __version__
from llamactl.api.errors import answers
from llamactl.api.services import GUARDS, Mine

router = APIRouter(
    prefix="/api/v1",
    dependencies=GUARDS,
    tags=["system"],
    default_response_class=PlainTextResponse,
)
open_router = APIRouter(tags=["system"])


class HealthBody(BaseModel):
    status: Literal["ok", "degraded"]
    degraded: list[str] | None = Field(
        None, description="what does not work now; instances that run are served all the same"
    )


@open_router.get("/health", response_model_exclude_none=True)
async def health(mine: Mine) -> HealthBody:
    faults = [*mine.degraded()]
    return HealthBody(status="degraded" if faults else "ok", degraded=faults or None)


@router.get("/version", responses=answers())
async def version() -> PlainTextResponse:
    commit, built = await run_in_threadpool(build_info)
    return PlainTextResponse(f"Version: {__version__}\nCommit: {commit}\nBuild Time: {built}\n")


@router.get("/server/help", responses=answers(500))
async def server_help(mine: Mine) -> PlainTextResponse:
    return PlainTextResponse(await mine.engine.ask("--help"))


@router.get("/server/version", responses=answers(500))
async def server_version(mine: Mine) -> PlainTextResponse:
    return PlainTextResponse(await mine.engine.ask("--version"))


@router.get("/server/devices", responses=answers(500))
async def server_devices(mine: Mine) -> PlainTextResponse:
    return PlainTextResponse(await mine.engine.ask("--list-devices"))


class UpgradeBody(BaseModel):
    pid: int = Field(description="of the process that has taken over")


@router.post("/upgrade", responses=answers(409, 415, 500), response_class=JSONResponse)
async def upgrade(mine: Mine) -> UpgradeBody:
    """Have a process of the installed version take over. No request fails, no model reloads."""
    return UpgradeBody(pid=await mine.upgrade())


@cache
def build_info() -> tuple[str, str]:
    """Commit and its time, where this runs from a checkout; else "unknown"."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return "unknown", "unknown"
    ask = ["git", "-C", str(root), "log", "-1", "--format=%h %cI"]
    try:
        said = subprocess.run(ask, capture_output=True, text=True, timeout=5, check=True)
        commit, built = said.stdout.split()
    except (OSError, subprocess.SubprocessError, ValueError):
        return "unknown", "unknown"
    return commit, built
