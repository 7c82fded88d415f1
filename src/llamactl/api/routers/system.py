"""Versions, the engine's own output, health."""

from __future__ import annotations

import os
import platform

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse

from llamactl import __version__
from llamactl.api.build import build_info
from llamactl.api.errors import answers
from llamactl.api.routers.backends import all_backends
from llamactl.api.services import GUARDS, Services, ServicesDep
from llamactl.backends import DEFAULT
from llamactl.schemas.system import FindingBody, HealthBody, SystemBody, UpgradeBody

router = APIRouter(
    prefix="/api/v1",
    dependencies=GUARDS,
    tags=["system"],
    default_response_class=PlainTextResponse,
)
open_router = APIRouter(tags=["system"])
_ENGINE = DEFAULT.kind


@open_router.get("/health", response_model_exclude_none=True)
async def health(services: ServicesDep) -> HealthBody:
    """Check whether llamactl works. Needs no key."""
    faults = [*services.degraded()]
    return HealthBody(status="degraded" if faults else "ok", degraded=faults or None)


@router.get("/version", responses=answers())
async def version() -> PlainTextResponse:
    """Get llamactl's version, commit and build time, as plain text."""
    commit, built = await run_in_threadpool(build_info)
    return PlainTextResponse(f"Version: {__version__}\nCommit: {commit}\nBuild Time: {built}\n")


@router.get("/system", responses=answers(), response_class=JSONResponse)
async def system(services: ServicesDep) -> SystemBody:
    """Get information about this server: versions, machine, health."""
    commit, built = await run_in_threadpool(build_info)
    settings = services.settings
    return SystemBody(
        version=__version__, commit=commit, built=built, python=platform.python_version(),
        system=platform.platform(terse=True), cpus=os.cpu_count() or 1, pid=os.getpid(),
        began=services.about.began, data_dir=str(settings.data), engine=services.about.engine(),
        degraded=[*services.degraded()], auth=settings.auth.require_management_auth,
        api_docs=settings.swagger, backends=all_backends(services.about.settings.current),
    )  # fmt: skip


@router.get("/doctor", responses=answers(), response_class=JSONResponse)
async def doctor(services: ServicesDep) -> list[FindingBody]:
    """Get the findings of `llamactl doctor`."""
    return [FindingBody(**found) for found in await run_in_threadpool(services.about.examine)]


@router.get("/server/help", responses=answers(500))
async def server_help(services: ServicesDep) -> PlainTextResponse:
    """Get the output of `--help` of the configured llama-server."""
    return await _said(services, _ENGINE.questions.help)


@router.get("/server/version", responses=answers(500))
async def server_version(services: ServicesDep) -> PlainTextResponse:
    """Get the output of `--version` of the configured llama-server."""
    return await _said(services, _ENGINE.questions.version)


@router.get("/server/devices", responses=answers(500))
async def server_devices(services: ServicesDep) -> PlainTextResponse:
    """List the devices that the configured llama-server can use."""
    return await _said(services, _ENGINE.questions.devices)


async def _said(services: Services, question: str) -> PlainTextResponse:
    return PlainTextResponse(await services.engines[_ENGINE.section].ask(question))


@router.post("/upgrade", responses=answers(409, 415, 500), response_class=JSONResponse)
async def upgrade(services: ServicesDep) -> UpgradeBody:
    """Replace this process with the installed version. No request fails, no model reloads."""
    return UpgradeBody(pid=await services.upgrade())
