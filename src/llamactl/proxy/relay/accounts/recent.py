"""The requests that have ended, until somebody asks for them. The oldest give way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from llamactl.core.errors import LlamactlError
from llamactl.core.keys import ANYONE, Caller
from llamactl.core.ports.request_log import STRANGERS, LoggedRequest, Sender, is_stranger
from llamactl.core.routes import Route
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.response import Response

_LONGEST: Final = 200  # characters of what a client sends that are kept
_PAGE: Final = "/page/"  # and a ticket, which is a secret
# its route's id and name, who asked, its id, method, path and model
Asked = tuple[str, str, Caller, bytes, bytes, str, str]
# when it began; what it waited; status, code and reason
Began = tuple[float, float, int, str, str]
# bytes of both bodies; first content, duration; is it complete; tokens: prompt, generated, cached
Answer = tuple[int, int, float | None, float, bool, int, int, int]
# of one that runs: its stage, what it waited, status or 0, first content, bytes of both bodies
Progress = tuple[str, float, int, float | None, int, int]


class RecentRequests:
    """Keeps tuples, since few of them are ever asked for: to make one costs a request little.

    What strangers ask for, and reaches no instance, drops only its own. `now` is the loop's clock.
    """

    def __init__(self, kept: int, now: Callable[[], float]) -> None:
        self._now = now
        self._ended: deque[tuple[Asked, Began, Answer]] = deque(maxlen=kept)
        self._strangers: deque[tuple[Asked, Began, Answer]] = deque(maxlen=kept // STRANGERS)

    def __repr__(self) -> str:
        return f"<RecentRequests, {len(self._ended)} and {len(self._strangers)} of strangers>"

    def add(self, asked: Asked, began: Began, answer: Answer) -> None:
        stranger = is_stranger(sender_of(asked[2]), asked[0])
        kept = self._strangers if stranger else self._ended
        kept.append((asked, began, answer))

    def unanswered(
        self, request: Request, route: Route | None, status: int, queued: float,
        error: LlamactlError | None = None, answer: Response | None = None,
    ) -> None:  # fmt: skip
        """One that we refused, or that its client left. `answer`: what there was of it."""
        code, reason = (error.code, cut(error.message)) if error is not None else ("", "")
        began = (request.began, queued, status, code, reason)
        sent, first, now = 0, None, self._now()
        if answer is not None:
            sent = answer.sent
            first = None if answer.first is None else answer.first - request.began
        took = (request.length, sent, first, now - request.began, answer is None, 0, 0, 0)
        self.add(asked_of(request, route), began, took)

    def take(self, most: int) -> list[LoggedRequest]:
        """The oldest of them, which are forgotten."""
        found: list[LoggedRequest] = []
        while (kept := self._ended or self._strangers) and len(found) < most:
            found.append(self._logged(*kept.popleft()))
        return found

    def running(self, request: Request, route: Route | None, progress: Progress) -> LoggedRequest:
        """One that has not ended."""
        stage, queued, status, first, received, sent = progress
        began = (request.began, queued, status, "", "")
        if first is not None:
            first -= request.began
        answer = (received, sent, first, self._now() - request.began, True, 0, 0, 0)
        return self._logged(asked_of(request, route), began, answer, stage)

    def _logged(
        self, asked: Asked, began: Began, answer: Answer, stage: str = "over"
    ) -> LoggedRequest:
        _, name, caller, request_id, method, path, model = asked
        at, queued, status, code, reason = began
        received, sent, first, duration, complete, prompt, generated, cached = answer
        return LoggedRequest(
            id=request_id.decode("latin-1"), at=time.time() - (self._now() - at),
            sender=sender_of(caller), key_id=caller.key.id if caller.key else "",
            key=caller.key.name if caller.key else "", instance=name,
            method=method.decode("latin-1"), path=path, model=model, stage=stage,
            status=status or None, code=code, reason=reason, queue_s=queued, first_token_s=first,
            duration_s=duration, prompt_tokens=prompt, cached_tokens=cached,
            generated_tokens=generated, received=received, sent=sent, complete=complete,
        )  # fmt: skip


def sender_of(caller: Caller) -> Sender:
    if caller.session is not None:
        return "page"
    if caller.key is not None:
        return "key"
    return "management" if caller.management and caller is not ANYONE else "anyone"


def asked_of(request: Request, route: Route | None) -> Asked:
    route_id, name = (route.id, route.name) if route is not None else ("", "")
    head = request.head
    return (
        route_id, name, request.caller, request.id, head.method, shown_path(request),
        cut(request.model),
    )  # fmt: skip


def shown_path(request: Request) -> str:
    """Without a ticket, and not longer than is read."""
    path = request.head.path
    if path.startswith(_PAGE):
        _, slash, rest = path.removeprefix(_PAGE).partition("/")
        path = f"{_PAGE}…{slash}{rest}"
    return cut(path)


def cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
