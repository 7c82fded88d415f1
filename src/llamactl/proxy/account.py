"""What is written down of each request: numbers, and a line in the log if that is wanted."""

from __future__ import annotations

from collections.abc import Callable

from llamactl.core.errors import LlamactlError
from llamactl.core.routes import Route
from llamactl.observe import Meters, logger
from llamactl.proxy.answer import Answer
from llamactl.proxy.request import Request
from llamactl.proxy.usage import tokens

_CLIENT_LEFT = 499  # as nginx has it
log = logger("requests")


class Account:
    """One per application. `now` is the loop's clock, `lines` asks for the log."""

    def __init__(self, meters: Meters, now: Callable[[], float], *, lines: bool) -> None:
        self._meters = meters
        self._now = now
        self._lines = lines

    def waited(self, instance_id: str, seconds: float) -> None:
        self._meters.of(instance_id).queue.add(seconds)

    def relayed(
        self,
        request: Request,
        route: Route,
        answer: Answer,
        answered: float,
        received: int,
        *,
        whole: bool,
    ) -> None:
        """An engine's answer is over. `answered`: when its head came; `received`: bytes."""
        now = self._now()
        meter = self._meters.of(route.id)
        meter.statuses[answer.status] += 1
        meter.received += received
        meter.sent += answer.sent
        meter.first_byte.add(answered - request.began)
        meter.duration.add(now - request.began)
        prompt, generated = tokens(answer.tail)
        meter.prompt_tokens += prompt
        meter.generated_tokens += generated
        if not whole:
            meter.broken_off += 1
        if self._lines:
            self._line(
                request,
                answer.status,
                instance=route.name,
                first_byte_ms=round((answered - request.began) * 1000, 1),
                received=received,
                sent=answer.sent,
                prompt_tokens=prompt,
                generated_tokens=generated,
                whole=whole,
            )

    def refused(self, request: Request, error: LlamactlError, route: Route | None) -> None:
        """We answered with an error of our own."""
        meter = self._meters.of(route.id) if route else self._meters.unrouted
        meter.refused[error.code] += 1
        if self._lines:
            self._line(request, error.status, code=error.code, reason=error.message)

    def abandoned(self, request: Request, route: Route | None) -> None:
        """The client left before its answer was whole."""
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
            id=request.id.decode("latin-1"),
            method=request.method.decode("latin-1"),
            path=request.path,
            status=status,
            ms=round((self._now() - request.began) * 1000, 1),
            **more,
        )
