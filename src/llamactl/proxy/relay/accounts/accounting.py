"""What is written down of each request: numbers, what the request log has of it, and a line in
llamactl's own log if that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from llamactl.core.errors import LlamactlError
from llamactl.core.ports.request_log import LoggedRequest
from llamactl.core.routes import Route
from llamactl.observe import Meters, logger
from llamactl.policy.body.token_counts import tokens
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.response import Response
from llamactl.proxy.relay.accounts.recent import (
    Asked,
    Began,
    Progress,
    RecentRequests,
    asked_of,
    cut,
    shown_path,
)

# an answer: bytes of both bodies, the answer's end, first content, duration, is it complete
_Relayed = tuple[Asked, Began, int, int, bytes, float | None, float, bool]
_BATCH: Final = 32
_OURS: Final = 500  # and above: not the client's fault
_CLIENT_LEFT: Final = 499  # as nginx has it
_UPGRADED: Final = 101
log = logger("requests")


class RequestMetrics:
    """One per application. `now` is the loop's clock, `lines` asks for lines in our own log.

    Answers are counted in batches, which costs half of counting each as it ends. `kept`: how many
    requests are remembered until `recent` is asked for them.
    """

    def __init__(self, meters: Meters, now: Callable[[], float], *, lines: bool, kept: int) -> None:
        self._meters = meters
        self._now = now
        self._lines = lines
        self._pending: list[_Relayed] = []
        self._recent = RecentRequests(kept, now)

    def waited(self, instance_id: str, seconds: float) -> None:
        self._meters.of(instance_id).queue.add(seconds)

    def relayed(
        self, request: Request, route: Route, answer: Response, received: int, queued: float,
        error: LlamactlError | None = None,
    ) -> None:  # fmt: skip
        """An engine's answer is over. `received`: bytes of the request's body.

        `queued`: seconds that it waited for its instance. `error`: why the answer is not complete.
        """
        now, began, complete = self._now(), request.began, error is None
        first = None if answer.first is None else answer.first - began
        code, reason = ("", "") if error is None else (error.code, cut(error.message))
        self._pending.append(
            (
                asked_of(request, route), (began, queued, answer.status, code, reason), received,
                answer.sent, answer.tail, first, now - began, complete,
            )
        )  # fmt: skip
        if self._lines:
            counts = tokens(answer.tail)
            self._line(
                request,
                answer.status,
                instance=route.name,
                first_byte_ms=None if first is None else round(first * 1000, 1),
                received=received,
                sent=answer.sent,
                prompt_tokens=counts.prompt,
                cached_tokens=counts.cached or 0,
                generated_tokens=counts.generated,
                complete=complete,
            )
        if len(self._pending) >= _BATCH:
            self.settle()

    def settle(self) -> None:
        """Count what is not counted yet."""
        pending, self._pending = self._pending, []
        last, meter = "", self._meters.unrouted
        for asked, began, received, sent, tail, first, duration, complete in pending:
            if asked[0] != last:
                last, meter = asked[0], self._meters.of(asked[0])
            meter.statuses[began[2]] += 1
            meter.received += received
            meter.sent += sent
            if first is not None:
                meter.first_byte.add(first)
            meter.duration.add(duration)
            prompt, generated, cached = tokens(tail)
            meter.prompt_tokens += prompt
            meter.generated_tokens += generated
            meter.cached_tokens += cached or 0
            if not complete:
                meter.broken_off += 1
            answer = (received, sent, first, duration, complete, prompt, generated, cached or 0)
            self._recent.add(asked, began, answer)

    def recent(self, most: int) -> list[LoggedRequest]:
        """Those that ended since this was last asked, the oldest first; each is given once."""
        self.settle()
        return self._recent.take(most)

    def running(self, request: Request, route: Route | None, progress: Progress) -> LoggedRequest:
        """One that has not ended, as the request log shows it."""
        return self._recent.running(request, route, progress)

    def refused(
        self, request: Request, error: LlamactlError, route: Route | None, queued: float = 0.0
    ) -> None:
        """We answered with an error of our own."""
        self._recent.unanswered(request, route, error.status, queued, error)
        meter = self._meters.of(route.id) if route else self._meters.unrouted
        meter.refused[error.code] += 1
        if error.status >= _OURS:  # none without a cause in the log
            log.warning("request_failed", id=request.name, code=error.code, reason=error.message)
        if self._lines:
            self._line(request, error.status, code=error.code, reason=error.message)

    def abandoned(
        self, request: Request, route: Route | None, queued: float = 0.0,
        answer: Response | None = None,
    ) -> None:  # fmt: skip
        """The client left before its response was complete. `answer`: what there was of it."""
        self._recent.unanswered(request, route, _CLIENT_LEFT, queued, answer=answer)
        meter = self._meters.of(route.id) if route else self._meters.unrouted
        meter.abandoned += 1
        if self._lines:
            self._line(request, _CLIENT_LEFT)

    def websocket_ended(self, request: Request, route: Route, queued: float) -> None:
        self._recent.unanswered(request, route, _UPGRADED, queued)

    def answered(self, request: Request, status: int) -> None:
        """We answered ourselves."""
        if self._lines:
            self._line(request, status)

    def _line(self, request: Request, status: int, **more: object) -> None:
        log.info(
            "request_served",
            id=request.name,
            method=request.head.method.decode("latin-1"),
            path=shown_path(request),
            status=status,
            ms=round((self._now() - request.began) * 1000, 1),
            **more,
        )
