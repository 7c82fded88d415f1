"""Rows of JSON as an answer: one by one, or the last alone; errors in Ollama's form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson
from fastapi import Response
from fastapi.responses import JSONResponse, StreamingResponse

from llamactl.core.errors import InstanceNotFound, LlamactlError, ModelNotFound
from llamactl.doors.ollama.answering import Answer

Rows = AsyncGenerator[dict[str, Any], None]


async def sent(rows: Rows, answer: Answer | None, *, stream: bool) -> Response:
    """Errors before the first row have a status, later ones a row."""
    try:
        first = await anext(rows)
    except LlamactlError as exc:
        return _refused(exc)
    if not stream:
        last = first
        try:
            async for row in rows:
                last = row
        except LlamactlError as exc:
            return _refused(exc)
        return JSONResponse(answer.whole() if answer else last)
    return StreamingResponse(_lines(first, rows), media_type="application/x-ndjson")


async def _lines(first: dict[str, Any], rows: Rows) -> AsyncIterator[bytes]:
    yield orjson.dumps(first) + b"\n"
    try:
        async for row in rows:
            yield orjson.dumps(row) + b"\n"
    except LlamactlError as exc:
        yield orjson.dumps({"error": exc.message}) + b"\n"
    except asyncio.CancelledError:
        await rows.aclose()
        raise


def _refused(exc: LlamactlError) -> Response:
    status = 404 if isinstance(exc, InstanceNotFound | ModelNotFound) else exc.status or 502
    return JSONResponse({"error": exc.message}, status_code=status)
