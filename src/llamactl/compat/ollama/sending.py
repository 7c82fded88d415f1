"""Rows of JSON as a response: one by one, or only the last; errors in Ollama's format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import Response
from fastapi.responses import JSONResponse, StreamingResponse

from llamactl.compat.ollama.answering import Answer
from llamactl.compat.ollama.embedding import Vectors
from llamactl.core.errors import InstanceNotFound, LlamactlError, UnknownModel

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


async def vectors_sent(batches: Vectors, answer: Answer, *, in_one: bool) -> Response:
    """Of all batches; as they come, unless `in_one`: they may be large.

    An error before the first has a status, a later one breaks the answer off.
    """
    pieces = _vector_lines(batches, answer)
    try:
        first = await anext(pieces)
    except LlamactlError as exc:
        return _refused(exc)
    if in_one:
        found = [first, *[piece async for piece in pieces]]
        return Response(b"".join(found), media_type="application/json")
    return StreamingResponse(_after(first, pieces), media_type="application/json")


async def _vector_lines(batches: Vectors, answer: Answer) -> AsyncGenerator[bytes, None]:
    before, tokens = b'{"model":%b,"embeddings":[' % orjson.dumps(answer.model), 0
    async with aclosing(batches):
        async for vectors, count in batches:
            yield before + orjson.dumps(vectors)[1:-1]
            before, tokens = b",", tokens + count
    answer.usage = {"prompt_tokens": tokens}
    took = answer.last()
    names = ("total_duration", "load_duration", "prompt_eval_count")
    last = orjson.dumps({name: took[name] for name in names})
    yield (b"" if before == b"," else before) + b"]," + last[1:]


async def _after(first: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    yield first
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


def _refused(exc: LlamactlError) -> Response:
    status = 404 if isinstance(exc, InstanceNotFound | UnknownModel) else exc.status or 502
    return JSONResponse({"error": exc.message}, status_code=status)
