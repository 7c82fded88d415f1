"""What is written down of each request: numbers, and a line in the log if that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from llamactl.core.errors import LlamactlError
from llamactl.core.routes import Route
from llamactl.observe import Meters, logger
from llamactl.policy.body.token_counts import tokens
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.response import Response

Relayed = tuple[str, int, int, int, bytes, float | None, float, bool]
_BATCH: Final = 32
_OURS: Final = 500  # and above: not the client's fault
_CLIENT_LEFT: Final = 499  # as nginx has it
log = logger("requests")


class RequestMetrics:
    """One per application. `now` is the loop's clock, `lines` asks for the log.

    Answers are counted in batches, which costs half of counting each as it ends.
    """

    def __init__(self, meters: Meters, now: Callable[[], float], *, lines: bool) -> None:
        self._meters = meters
        self._now = now
        self._lines = lines
        self._pending: list[Relayed] = []

    def waited(self, instance_id: str, seconds: float) -> None:
        self._meters.of(instance_id).queue.add(seconds)

    def relayed(
        self, request: Request, route: Route, answer: Response, received: int, *, whole: bool
    ) -> None:
        """An engine's answer is over. `received`: bytes of the request's body."""
        now, began = self._now(), request.began
        first = None if answer.first is None else answer.first - began
        self._pending.append(
            (
                route.id, answer.status, received, answer.sent, answer.tail,
                first, now - began, whole,
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
                whole=whole,
            )
        if len(self._pending) >= _BATCH:
            self.settle()

    def settle(self) -> None:
        """Count what is not counted yet."""
        pending, self._pending = self._pending, []
        last, meter = "", self._meters.unrouted
        for instance_id, status, received, sent, tail, first, duration, whole in pending:
            if instance_id != last:
                last, meter = instance_id, self._meters.of(instance_id)
            meter.statuses[status] += 1
            meter.received += received
            meter.sent += sent
            if first is not None:
                meter.first_byte.add(first)
            meter.duration.add(duration)
            prompt, generated, cached = tokens(tail)
            meter.prompt_tokens += prompt
            meter.generated_tokens += generated
            meter.cached_tokens += cached or 0
            if not whole:
                meter.broken_off += 1

    def refused(self, request: Request, error: LlamactlError, route: Route | None) -> None:
        """We answered with an error of our own."""
        meter = self._meters.of(route.id) if route else self._meters.unrouted
        meter.refused[error.code] += 1
        if error.status >= _OURS:  # none without a cause in the log
            log.warning("request_failed", id=request.name, code=error.code, reason=error.message)
        if self._lines:
            self._line(request, error.status, code=error.code, reason=error.message)

    def abandoned(self, request: Request, route: Route | None) -> None:
        """The client left before its response was complete."""
        meter = self._meters.of(route.id) if route else self._meters.unrouted
        meter.abandoned += 1
        if self._lines:
            self._line(request, _CLIENT_LEFT)

    def answered(self, request: Request, status: int) -> None:
        """We answered ourselves."""
        if self._lines:
            self._line(request, status)

    def _line(self, request: Request, status: int, **more: object) -> None:
        log.info(
            "request_served",
            id=request.name,
            method=request.head.method.decode("latin-1"),
            path=request.head.path,
            status=status,
            ms=round((self._now() - request.began) * 1000, 1),
            **more,
        )
