"""How calls are sent."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from typing import TypeVar

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from llamactl.client.calls import (
    Call,
    is_near,
    read,
    wait_of,
)
from llamactl.client.errors import ServerUnreachable, error_of

T = TypeVar("T")
_BAD = 400
_CONNECT_S = 10.0
_AT_ONCE = 64  # lines


class Transport:
    """Sends calls, and sends them again where the server asks for it."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        timeout: float,
        retries: int,
        longest_wait: float,
    ) -> None:
        self._http = httpx2.Client(
            base_url=url,
            headers=dict(headers),
            timeout=httpx2.Timeout(timeout, connect=_CONNECT_S),
            trust_env=not is_near(url),  # no proxy leads to this very machine
            verify=url.startswith("https:"),  # else certificates are read, which takes long
        )
        self._url = url
        self._retries = retries
        self._longest_wait = longest_wait

    def close(self) -> None:
        self._http.close()

    def read(self, kind: type[T], call: Call) -> T:
        return read(kind, self.send(call))

    def send(self, call: Call) -> bytes:
        """Raises a LlamactlError as the server names it, or ServerUnreachable."""
        attempts = Retrying(
            stop=stop_after_attempt(self._retries + 1),
            retry=retry_if_exception(call.may_be_retried),
            wait=self._wait,
            reraise=True,
        )
        for attempt in attempts:
            with attempt:
                return self._send(call)
        raise AssertionError("tenacity returns or raises")

    def _wait(self, state: RetryCallState) -> float:
        failed = state.outcome.exception() if state.outcome else None
        return wait_of(failed, state.attempt_number, self._longest_wait)

    def _send(self, call: Call) -> bytes:
        try:
            answer = self._http.request(
                call.method, call.path,
                params=call.params, content=call.content, headers=call.headers,
            )  # fmt: skip
        except httpx2.TransportError as exc:
            raise self._unreachable(exc) from exc
        if answer.status_code >= _BAD:
            raise error_of(answer.status_code, answer.headers.get("retry-after"), answer.content)
        return bytes(answer.content)

    def stream(self, call: Call) -> Generator[str, None, None]:
        """Lines, as they come. Raises as `send` does, but sends nothing again."""
        request = self._http.build_request(
            call.method, call.path,
            params=call.params, headers=call.headers,
            content=_each(call.pieces) if call.pieces else call.content,
            timeout=httpx2.Timeout(None, connect=_CONNECT_S),
        )  # fmt: skip
        try:
            answer = self._http.send(request, stream=True)
            try:
                if answer.status_code >= _BAD:
                    body = answer.read()
                    raise error_of(answer.status_code, answer.headers.get("retry-after"), body)
                left = _AT_ONCE
                for line in answer.iter_lines():
                    yield line
                    left -= 1
                    if not left:  # many may have come at once: others go first
                        left = _AT_ONCE
                        time.sleep(0)
            finally:
                answer.close()
        except httpx2.TransportError as exc:
            raise self._unreachable(exc) from exc

    def _unreachable(self, exc: httpx2.TransportError) -> ServerUnreachable:
        never_sent = isinstance(exc, httpx2.ConnectError | httpx2.ConnectTimeout)
        what = "no llamactl answers" if never_sent else "the connection broke"
        return ServerUnreachable(
            f"{what} at {self._url}: {str(exc) or type(exc).__name__}",
            details={"sent": not never_sent},
        )


def _each(pieces: Sequence[bytes]) -> Generator[bytes, None, None]:
    for piece in pieces:
        yield piece
