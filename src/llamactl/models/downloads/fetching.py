"""A process of ours that downloads a model, and what it says meanwhile."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

_LINE = 1 << 20


async def fetched(
    model: str, cache: Path, environ: Mapping[str, str]
) -> AsyncGenerator[Mapping[str, Any]]:
    """What it says, to the last: done or failed. Closing the generator ends it."""
    try:
        async for said in _said(model, cache, environ):
            yield said
    except (OSError, ValueError, KeyError) as exc:  # ValueError: it says what it should not
        yield {"event": "failed", "error": f"the download process failed: {exc}"}


async def _said(
    model: str, cache: Path, environ: Mapping[str, str]
) -> AsyncGenerator[Mapping[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "llamactl.models.downloads.worker",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=environ, limit=_LINE,
    )  # fmt: skip
    words = asyncio.create_task(_last_words(process))
    try:
        assert process.stdin is not None and process.stdout is not None
        spec = {"model": model, "cache": str(cache)}
        process.stdin.write(orjson.dumps(spec) + b"\n")  # it stays open: its end is our end
        async for line in process.stdout:
            yield orjson.loads(line)
        code = await process.wait()
        yield {"event": "failed", "error": f"it exited with code {code}: {await words}"}
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        words.cancel()
        await asyncio.gather(words, return_exceptions=True)


async def _last_words(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = await process.stderr.read()
    return said.decode("utf-8", "replace").strip().rpartition("\n")[2][-500:]
