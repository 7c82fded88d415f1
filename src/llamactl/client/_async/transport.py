"""How calls are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx2
import orjson
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from llamactl.client.calls import Call, is_near, read
from llamactl.client.errors import InvalidAnswer, ServerUnreachable, error_of

T = TypeVar("T")
_BAD = 400
_CONNECT_S = 10.0
_FIRST_WAIT_S = 0.2
_AT_ONCE = 64  # lines or events
_EVENTS = "text/event-stream"
_END = "[DONE]"  # of OpenAI's streams


class AsyncTransport:
    """Sends calls, and sends them again where the server asks for it."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        timeout: float,
        retries: int,
        longest_wait: float,
    ) -> None:
        self._http = httpx2.AsyncClient(
            base_url=url,
            headers=dict(headers),
            timeout=httpx2.Timeout(timeout, connect=min(timeout, _CONNECT_S)),
            trust_env=not is_near(url),  # no proxy leads to this very machine
            verify=url.startswith("https:"),  # else certificates are read, which takes long
        )
        self._url = url
        self._retries = retries
        self._longest_wait = longest_wait
        self._backoff = wait_exponential(_FIRST_WAIT_S, max=longest_wait)

    async def close(self) -> None:
        await self._http.aclose()

    async def read(self, kind: type[T], call: Call) -> T:
        return read(kind, await self.send(call))

    async def send(self, call: Call) -> bytes:
        """Raises a LlamactlError as the server names it, or ServerUnreachable."""
        attempts = AsyncRetrying(
            stop=stop_after_attempt(self._retries + 1),
            retry=retry_if_exception(call.may_be_retried),
            wait=self._wait,
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                return await self._send(call)
        raise AssertionError("tenacity returns or raises")

    def _wait(self, state: RetryCallState) -> float:
        """Seconds: what the server asks for, else longer each time."""
        failed = state.outcome.exception() if state.outcome else None
        asked = getattr(failed, "retry_after", None)
        return min(self._longest_wait, asked) if asked else self._backoff(state)

    async def _send(self, call: Call) -> bytes:
        try:
            answer = await self._http.request(
                call.method, call.path,
                params=call.params, content=call.content, headers=call.headers,
            )  # fmt: skip
        except httpx2.TransportError as exc:
            raise self._unreachable(exc) from exc
        if answer.status_code >= _BAD:
            raise error_of(answer.status_code, answer.headers.get("retry-after"), answer.content)
        return bytes(answer.content)

    async def lines(self, call: Call) -> AsyncGenerator[str, None]:
        """Lines of text, as they come. Raises as `stream` does."""
        async with self.stream(call) as answer:
            async for line in _in_turns(answer.aiter_lines()):
                yield line

    async def events(self, call: Call, longest: int | None = None) -> AsyncGenerator[Any, None]:
        """The JSON of each server-sent event, as it comes. Raises as `stream` does.

        And InvalidAnswer for an event of more than `longest` bytes, or an answer without events.
        """
        async with self.stream(call) as answer:
            kind = answer.headers.setdefault("content-type", _EVENTS)
            if not kind.lower().startswith(_EVENTS):
                raise InvalidAnswer(f"{call.path} answered {kind} where events were expected")
            try:
                async for event in _in_turns(httpx2.EventSource(answer, longest)):
                    if event.data and event.data != _END:
                        yield orjson.loads(event.data)
            except httpx2.SSEError as exc:
                raise InvalidAnswer(f"an event is longer than {longest or 0:,} bytes") from exc

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncGenerator[httpx2.Response, None]:
        """The answer, with its body still to be read. Raises as `send` does, and sends once."""
        request = self._http.build_request(
            call.method, call.path,
            params=call.params, headers=call.headers,
            content=_each(call.pieces) if call.pieces else call.content,
            timeout=httpx2.Timeout(None, connect=_CONNECT_S),
        )  # fmt: skip
        try:
            answer = await self._http.send(request, stream=True)
            try:
                if answer.status_code >= _BAD:
                    body = await answer.aread()
                    raise error_of(answer.status_code, answer.headers.get("retry-after"), body)
                yield answer
            finally:
                await answer.aclose()
        except httpx2.TransportError as exc:
            raise self._unreachable(exc) from exc

    def _unreachable(self, exc: httpx2.TransportError) -> ServerUnreachable:
        never_sent = isinstance(exc, httpx2.ConnectError | httpx2.ConnectTimeout)
        what = "no llamactl answers" if never_sent else "the connection broke"
        return ServerUnreachable(
            f"{what} at {self._url}: {str(exc) or type(exc).__name__}",
            details={"sent": not never_sent},
        )


async def _in_turns(source: AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """Many may have come at once: others go first now and then."""
    left = _AT_ONCE
    async for one in source:
        yield one
        left -= 1
        if not left:
            left = _AT_ONCE
            await asyncio.sleep(0)


async def _each(pieces: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece
