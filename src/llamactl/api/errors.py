"""Every error leaves in one wire form: `{"error": message, "code": code}`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from llamactl.core.errors import (
    InvalidRequest,
    LlamactlError,
    MethodNotAllowed,
    NotFound,
    error_body,
    error_headers,
)
from llamactl.core.keys import GUEST
from llamactl.observe import logger
from llamactl.schemas.system import ErrorBody

log = logger("api")
_NOT_FOUND, _NOT_ALLOWED = 404, 405
_CLIENT_LEFT = 499  # as nginx has it; nobody reads it


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route, for the OpenAPI document."""
    return {status: {"model": ErrorBody} for status in (400, 401, 403, *statuses)}


def respond(error: LlamactlError, request: Request) -> JSONResponse:
    caller = getattr(request.state, "caller", GUEST)  # as the guards of management found
    body = error_body(error, private=caller.management)
    return JSONResponse(body, error.status, error_headers(error))


def install_error_handlers(api: FastAPI) -> None:
    @api.exception_handler(LlamactlError)
    async def ours(request: Request, exc: LlamactlError) -> JSONResponse:
        return respond(exc, request)

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, exc: RequestValidationError) -> JSONResponse:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        error = InvalidRequest(f"invalid request: {where}: {first['msg']}")
        return respond(error, request)

    @api.exception_handler(HTTPException)
    async def http(request: Request, exc: HTTPException) -> JSONResponse:
        path = request.scope["path"]
        if exc.status_code == _NOT_FOUND:
            return respond(NotFound(f"there is nothing at {path[:200]!r}"), request)
        if exc.status_code == _NOT_ALLOWED:
            refused = MethodNotAllowed(f"{path[:200]!r} does not support {request.method}")
            answer = respond(refused, request)
            answer.headers["allow"] = (exc.headers or {}).get("Allow", "")
            return answer
        error = LlamactlError(str(exc.detail))
        error.status = exc.status_code
        return respond(error, request)

    @api.exception_handler(ClientDisconnect)
    async def left(request: Request, exc: ClientDisconnect) -> Response:
        return Response(status_code=_CLIENT_LEFT)

    @api.exception_handler(Exception)
    async def bug(request: Request, exc: Exception) -> JSONResponse:
        log.failure("request_failed", exc, path=request.scope["path"])
        return respond(LlamactlError("internal error in llamactl; see its log"), request)
