"""Limits waits and responses to the lifetime of their key or session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from llamactl.core.keys import Caller
from llamactl.core.lease import Lease
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy.relay.leases import Granting, abandon

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
_LOOK_S = 60.0  # a clock that is set moves an expiry
FAREWELL_S = 1.0  # for the end of an answer to a client that takes nothing


async def revoked(keys: KeyRing, caller: Caller) -> None:
    """Return when this caller is no longer admitted."""
    changed = asyncio.Event()
    keys.watch(changed.set)
    try:
        while keys.still_admits(caller, now := time.time()):
            changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(keys.expiry_of(caller) - now, _LOOK_S)):
                    await changed.wait()
    finally:
        keys.unwatch(changed.set)


async def while_admitted(granting: Granting, keys: KeyRing, caller: Caller) -> Lease[Any]:
    """The lease, unless the caller loses what let it in meanwhile: then it is given up.

    Raises what a new request of the caller's gets.
    """
    job, ends = asyncio.ensure_future(granting()), asyncio.ensure_future(revoked(keys, caller))
    try:
        await asyncio.wait({job, ends}, return_when=asyncio.FIRST_COMPLETED)
        keys.check(caller, time.time())
        return job.result()
    except BaseException:
        abandon(job)
        raise
    finally:
        ends.cancel()


class EndsWithCaller:
    """Ends each answer in parts when the caller in `scope["state"]["caller"]` is revoked.

    A response that has not begun continues: leaving it would not undo its effects.
    """

    def __init__(self, app: AsgiApp, keys: KeyRing) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watching: asyncio.Task[None] | None = None
        ended = False

        def end(watch: asyncio.Task[None]) -> None:
            nonlocal ended
            if not watch.cancelled() and not answering.done():
                ended = True
                answering.cancel()

        async def send_and_watch(message: Any) -> None:
            nonlocal watching
            caller = scope["state"].get("caller") if message.get("more_body") else None
            if watching is None and isinstance(caller, Caller) and (caller.key or caller.session):
                watching = asyncio.ensure_future(revoked(self._keys, caller))
                watching.add_done_callback(end)
            await send(message)

        async def answer() -> None:
            await self._app(scope, receive, send_and_watch)

        answering = asyncio.ensure_future(answer())
        try:
            await answering
        except asyncio.CancelledError:
            if not ended:
                raise
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await send({"type": "http.response.body"})
        finally:
            if watching is not None:
                watching.cancel()
