"""Work that may take as long as a load, beside the event loop.

Not in its pool: those threads are few, all that blocks for a moment shares them, and they are
waited for at exit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar, cast

T = TypeVar("T")


async def in_own_thread(work: Callable[[], T]) -> T:
    """Its caller may leave it; it does not keep us from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, failure: Exception | None) -> None:
        if done.done():  # its caller has left
            return
        if failure is not None:
            done.set_exception(failure)
        else:
            done.set_result(cast(T, result))

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as exc:
            failure = exc
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(tell, result, failure)

    Thread(target=run, name="own-thread", daemon=True).start()
    return await done
