"""A request whose body is changed before its engine sees it: waits until it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from llamactl.core.errors import LlamactlError
from llamactl.core.filters import Filters
from llamactl.policy.body import SMALL
from llamactl.policy.filters import edits, scanner_for
from llamactl.proxy.body import Body
from llamactl.proxy.downstream import Downstream
from llamactl.proxy.relay import Relay
from llamactl.proxy.request import Request, error_answer

_SLICE = 1 << 15  # bytes looked at between two looks at everybody else


class Filtering:
    """The handler of a request until its body is changed, and `begin` takes over."""

    def __init__(
        self, relay: Relay, down: Downstream, request: Request, body: Body, filters: Filters,
        begin: Callable[[], None],
    ) -> None:  # fmt: skip
        """`body`: what of it is kept by now."""
        self._relay = relay
        self._down = down
        self._request = request
        self._body = body
        self._filters = filters
        self._begin = begin
        self._task: asyncio.Task[None] | None = None
        self._over = False

    def __repr__(self) -> str:
        return f"<Filtering {self._request} {self._body}>"

    def start(self) -> None:
        """Take over from whoever found the instance."""
        self._down.handler = self
        if self._request.complete:
            self.body_end()

    def body(self, data: bytes) -> None:
        if self._over:
            return
        try:
            self._body.keep(data)
        except LlamactlError as error:
            self.fail(error)

    def body_end(self) -> None:
        if not self._over and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._change())
            self._relay.tasks.add(self._task)
            self._task.add_done_callback(self._relay.tasks.discard)

    async def _change(self) -> None:
        scanner = scanner_for(self._filters)
        try:
            for piece in self._body.pieces():
                for at in range(0, len(piece), _SLICE):
                    scanner.feed(piece[at : at + _SLICE])
                    if self._body.size > SMALL:
                        await asyncio.sleep(0)
            scanner.close()
            self._body.edit(edits(self._filters, scanner))
        except LlamactlError as error:
            self.fail(error)
            return
        self._over = True
        self._begin()

    # What becomes of the client.

    def fail(self, error: LlamactlError) -> None:
        self._end()
        self._relay.account.refused(self._request, error, None)
        self._down.answer(error_answer(error, self._request))

    def gone(self) -> None:
        self._end()
        self._relay.account.abandoned(self._request, None)

    def _end(self) -> None:
        self._over = True
        self._body.forget()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def expired(self) -> None: ...
