"""llama-swap's paths: https://github.com/mostlygeek/llama-swap#api-endpoints

`/upstream/{name}/…` is the data path's.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from llamactl.compat.caller import client_for
from llamactl.config import Settings
from llamactl.core.errors import LlamactlError, OriginNotAllowed

_STATES = {"running": "ready", "failed": "stopped"}


def llama_swap_router(settings: Settings) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/running", response_model=None)
    async def running(request: Request) -> Response:
        """What is up, or comes up or goes down just now."""
        async with client_for(request, settings) as client:
            rows = await client.instances.list()
        return JSONResponse(
            {
                "running": [
                    {"model": row.name, "state": _STATES.get(row.status, row.status),
                     "cmd": " ".join(row.command), "name": row.name, "description": "",
                     "proxy": f"http://127.0.0.1:{row.port}" if row.port else "",
                     "ttl": round(row.options.get("idle_timeout", 0) * 60)}
                    for row in rows
                    if row.status not in ("stopped", "failed")
                ]
            }
        )  # fmt: skip

    @router.api_route("/unload", methods=["GET", "POST"], response_model=None)
    @router.post("/api/models/unload", response_model=None)
    async def unload_all(request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise OriginNotAllowed("pages from other sites may not unload models")
        async with client_for(request, settings) as client:
            for row in await client.instances.list():
                if row.status not in ("stopped", "failed"):
                    await client.instances.stop(row.name)
        return PlainTextResponse("OK")

    @router.post("/api/models/unload/{model:path}", response_model=None)
    async def unload(model: str, request: Request) -> Response:
        async with client_for(request, settings) as client:
            try:
                await client.instances.stop(model)
            except LlamactlError as exc:
                return PlainTextResponse(exc.message, status_code=exc.status or 502)
        return PlainTextResponse("OK")

    return router
