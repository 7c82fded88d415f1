"""Swagger at /swagger/, its assets from an installed package, the OpenAPI document beside it."""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from llamactl.api.openapi.document import whole
from llamactl.core.errors import NotFound

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>llamactl API</title>
<link rel="stylesheet" href="assets/swagger-ui.css"></head>
<body><div id="ui"></div><script src="assets/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "openapi.json", dom_id: "#ui", deepLinking: true})</script>
</body></html>
"""


def install_closed(api: FastAPI) -> None:
    """If the settings disable it, say which one enables it."""

    @api.get("/swagger", include_in_schema=False)
    @api.get("/swagger/{path:path}", include_in_schema=False)
    async def closed(path: str = "") -> None:
        raise NotFound(
            "the API documentation is disabled; to enable it, set server.enable_swagger to true "
            "and restart llamactl"
        )


def install(api: FastAPI) -> None:
    assets = str(files("fastapi_offline") / "static")
    api.mount("/swagger/assets", StaticFiles(directory=assets))

    @api.get("/swagger", include_in_schema=False)
    async def swagger_root() -> RedirectResponse:
        return RedirectResponse("/swagger/")

    @api.get("/swagger/", include_in_schema=False)
    async def swagger() -> HTMLResponse:
        return HTMLResponse(_PAGE)

    @api.get("/swagger/openapi.json", include_in_schema=False)
    async def document() -> JSONResponse:
        return JSONResponse(whole(api.openapi()))
