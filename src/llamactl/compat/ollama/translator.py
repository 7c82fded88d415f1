"""Translates large requests in a process of their own.

Parsing holds the interpreter: in our process, or in one of its threads, 16 MB would keep everybody
waiting for a tenth of a second. Images make requests as large as that. Nor is such a request ever
put together here: even copying it takes too long.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import orjson

from llamactl.compat.ollama.translation import Form, Translation, translate
from llamactl.core.errors import InvalidRequest, LlamactlError

SMALL = 1 << 16  # bytes that are translated here
_PROGRAM = "llamactl.compat.ollama.translation"
_AT_A_TIME = 2  # processes
_LONGEST_S = 60.0
_PIECE = 1 << 16  # bytes
_POLITE = 10  # its niceness


class Translator:
    """One per server. At most so many processes at a time; others wait for their turn."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_A_TIME)

    async def translated(self, form: Form, body: AsyncIterable[bytes]) -> Translation:
        """Raises InvalidRequest, or LlamactlError if the process failed."""
        pieces = [piece async for piece in body]
        if sum(map(len, pieces)) <= SMALL:
            return translate(form, b"".join(pieces))
        async with self._turn:
            with _process(form) as process:
                try:
                    async with asyncio.timeout(_LONGEST_S):
                        return await asyncio.to_thread(_exchange, process, pieces)
                except (TimeoutError, OSError, orjson.JSONDecodeError) as exc:
                    raise LlamactlError(
                        "the process that translates large requests failed; check free memory, "
                        "then retry"
                    ) from exc


@contextmanager
def _process(form: Form) -> Iterator[subprocess.Popen[bytes]]:
    """It ends with what is done with it. The event loop would fork, which takes far longer."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", _PROGRAM, form],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _POLITE)
        yield process
    finally:
        process.kill()


def _exchange(process: subprocess.Popen[bytes], body: Sequence[bytes]) -> Translation:
    """In a thread. Raises InvalidRequest, or OSError or JSONDecodeError if the process failed."""
    with process:  # which waits for its end
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None and stdout is not None
        for piece in body:
            stdin.write(piece)
        stdin.close()
        head = orjson.loads(stdout.readline())
        if "error" in head:
            raise InvalidRequest(head["error"])
        in_pieces = iter(lambda: stdout.read(_PIECE), b"")
        return Translation(**head, parts=tuple(in_pieces if head["path"] else stdout))
