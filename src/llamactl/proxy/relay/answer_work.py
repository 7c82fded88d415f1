"""Work on an engine's answer: in turns, and nothing more of it is read meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llamactl.core.errors import LlamactlError
from llamactl.observe import logger
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.engine_connection import Connection
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.response import Response
from llamactl.proxy.http.sink import Sink
from llamactl.proxy.relay.context import ProxyContext
from llamactl.proxy.stages.exchange import Stage, Step
from llamactl.proxy.stages.table import Staged

log = logger("proxy")


class AnswerWork(Staged, Sink):
    """That side of an exchange."""

    _relay: ProxyContext
    _down: Downstream
    _request: Request
    _upstream: Connection | None = None
    _answer: Response | None = None

    def __init__(self) -> None:
        self._stage = Stage.OPENING

    def fail(self, error: LlamactlError) -> None:
        raise NotImplementedError

    @property
    def caller(self) -> str:
        return self._down.caller

    @property
    def in_turns(self) -> bool:
        return self._answer is not None and self._answer.in_turns

    def _has_work(self, answer: Response) -> bool:
        """All came: is it to be worked on before it ends?"""
        begun = answer.at_work
        if not begun:
            answer.all_came()
        if not answer.at_work:
            return False
        if self._stage is not Stage.WORKING:
            self._move(Step.ALL_CAME)
        if not begun and self._work():  # which may end it all
            self._relay.turns.join(self._work, self.caller)
        return True

    def _begin_work(self) -> None:
        """In our turns. Nothing more is read of the answer until it is done."""
        if self._upstream is not None:
            self._upstream.pause_reading()
        self._relay.turns.join(self._work, self.caller)

    def _work(self) -> bool:
        """Do a part of the work on an answer; True if there is more."""
        answer, more = self._answer, False
        if self._stage is Stage.OVER or answer is None:
            return False
        with self._failing("answer_failed"):
            more = answer.prepare()
            if not more and self._stage is Stage.WORKING:
                self.complete()
            elif not more:
                self._go_on(answer)
        return more

    def _go_on(self, answer: Response) -> None:
        """With what came of it in some work, and what is still to come."""
        if framed := answer.frame([]):
            self._down.write(framed)
        if self._upstream is not None and self._down.writable:
            self._upstream.resume_reading()

    @contextmanager
    def _failing(self, event: str) -> Iterator[None]:
        """What goes wrong is the end of it. `event`: for the log, if that is our fault."""
        try:
            yield
        except LlamactlError as error:
            self.fail(error)
        except Exception as exc:
            log.failure(event, exc, id=self._request.name)
            self.fail(LlamactlError("internal error in llamactl; see its log"))
