"""Drives one instance: the only writer of its lifecycle.

Everything slow runs in a child task that ends by posting an event; the loop
itself never waits for the world, so it can always hear a stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

from llamactl.control.lifecycle.retry import until_done
from llamactl.control.lifecycle.waiters import Condition, Waiter, Waiters
from llamactl.core.errors import Conflict, InstanceNotFound, LlamactlError, ShuttingDown
from llamactl.core.lifecycle import (
    RESTING,
    Effect,
    Event,
    HaltRequested,
    InvalidTransition,
    Lifecycle,
    NodeFound,
    NodeLost,
    RestartRequested,
    StartRequested,
    State,
    StopRequested,
    step,
)
from llamactl.observe import logger

# Shown while they are written. After a crash, llamactl finds the state before, and does the right
# thing: an engine that was draining still runs and is adopted, one that has stopped is gone.
_BEFORE_THE_STORE = (State.DRAINING, State.STOPPED)
Watch = Callable[[], Awaitable[Event]]
Record = Callable[[Event, Lifecycle, Lifecycle], asyncio.Future[None]]
_DIED = "an internal error stopped the control of this instance; see the log, and restart llamactl"
log = logger("control")


class LifecycleRunner:
    """Lives from an instance's creation, or llamactl's start, to its deletion or our end."""

    def __init__(
        self,
        now: Lifecycle,
        perform: Callable[[Effect], Awaitable[Event | None]],
        watches: Callable[[Lifecycle], Sequence[Watch]],
        record: Record,
        listener: Callable[[Lifecycle, Lifecycle], None],
    ) -> None:
        """`watches`: what is waited for in a state. `record`: begins to write a transition down."""
        self._now = now
        self.since = time.time()
        self._perform = perform
        self._watches = watches
        self._record = record
        self._listener = listener
        self._mail: asyncio.Queue[tuple[Event | None, Waiter | None]]
        self._mail = asyncio.Queue()  # None: arm the watches again
        self._waiters = Waiters()
        self._task: asyncio.Task[None] | None = None
        self._retired = self._halted = False
        self._turn = asyncio.Lock()  # held while an event is worked on, and by who pauses us

    def __repr__(self) -> str:
        return f"<LifecycleRunner {self._now.state} generation {self._now.generation}>"

    @property
    def now(self) -> Lifecycle:
        return self._now

    def start(self) -> None:
        self._task = asyncio.create_task(self._live())

    def rearm(self) -> None:
        """Restart the timers of this state, because the limits have changed."""
        self._mail.put_nowait((None, None))

    async def ask(self, command: Event) -> Lifecycle:
        """Post a command; return the lifecycle it led to.

        Raises Conflict if it is not allowed, InstanceNotFound after `retire`, ShuttingDown for
        a start after a halt.
        """
        if self._retired and not isinstance(command, StopRequested | NodeLost | NodeFound):
            raise InstanceNotFound("the instance was deleted")
        if self._halted and isinstance(command, StartRequested | RestartRequested):
            raise ShuttingDown("llamactl is shutting down and starts no more instances")
        self._halted = self._halted or isinstance(command, HaltRequested)
        with self._waiters.join() as reply:
            self._mail.put_nowait((command, reply))
            try:
                return await reply
            except InvalidTransition as exc:
                raise Conflict(str(exc)) from exc

    async def wait(self, until: Condition) -> Lifecycle:
        if until(self._now):
            return self._now
        with self._waiters.join(until) as waiter:
            return await waiter

    async def retire(self, cause: str, *, force: bool) -> None:
        """Stop for good: nobody's start is heard from now on. Returns when nothing runs."""
        self._retired = True
        await self.ask(StopRequested(cause, force=force))
        await self.wait(lambda now: now.state in RESTING)

    def revive(self) -> None:
        """Hear starts again: what was to be for good could not be done."""
        self._retired = False

    async def pause(self) -> None:
        """Return between two events; the next one waits until `resume`."""
        await self._turn.acquire()

    def resume(self) -> None:
        self._turn.release()

    async def close(self, error: LlamactlError | None = None) -> None:
        """`error`: for those who wait."""
        self._waiters.end(error or InstanceNotFound("the instance was deleted"))
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _live(self) -> None:
        try:
            await self._run()
        except Exception as exc:
            # A fault of ours. Nothing hangs on it, and a restart of llamactl takes the
            # instance up again; its process is left as it is.
            log.failure("runner_died", exc, state=str(self._now.state))
            self._waiters.end(LlamactlError(_DIED))

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            watches = self._arm(tasks)
            while True:
                event, reply = await self._mail.get()
                async with self._turn:
                    before = self._now
                    if event is not None:
                        await self._handle(event, reply, tasks)
                    if event is None or self._now.epoch != before.epoch:
                        for watch in watches:
                            watch.cancel()
                        watches = self._arm(tasks)

    async def _handle(
        self,
        event: Event,
        reply: Waiter | None,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """One event, to its end but for the watches that it leads to."""
        before = self._now
        try:
            after, effects = step(before, event)
        except InvalidTransition as exc:
            if reply is None:
                raise  # an illegal fact is our bug, not the caller's
            if not reply.done():
                reply.set_exception(exc)
            return
        written = self._write_down(event, before, after) if after != before else None
        if written is not None and after.state not in _BEFORE_THE_STORE:
            await asyncio.wait([written])  # first write it down, then show it and act
        self._enter(before, after)
        for effect in effects:
            tasks.create_task(self._carry_out(effect))
        if reply is not None:
            _answer(reply, after, written)

    def _write_down(
        self, event: Event, before: Lifecycle, after: Lifecycle
    ) -> asyncio.Future[None] | None:
        try:
            return self._record(event, before, after)
        except Exception as exc:
            log.failure("event_lost", exc, what=type(event).__name__)
            return None

    def _enter(self, before: Lifecycle, after: Lifecycle) -> None:
        self._now = after
        if after == before:
            return
        if after.epoch != before.epoch:
            self.since = time.time()
        self._listener(before, after)
        self._waiters.entered(after)

    def _arm(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        return [tasks.create_task(self._keep(watch)) for watch in self._watches(self._now)]

    async def _keep(self, watch: Watch) -> None:
        """Post the event that ends it. What can't be watched now is tried again."""
        event = await until_done(watch, "not_watched", state=str(self._now.state))
        self._mail.put_nowait((event, None))

    async def _carry_out(self, effect: Effect) -> None:
        """Post the event that ends it, if it has one."""
        if (event := await self._perform(effect)) is not None:
            self._mail.put_nowait((event, None))


def _answer(reply: Waiter, after: Lifecycle, written: asyncio.Future[None] | None) -> None:
    """Those who asked hear the result once it is written down, so that no crash undoes it."""

    def answer(_: object) -> None:
        if not reply.done():
            reply.set_result(after)

    if written is None:
        answer(None)
    else:
        written.add_done_callback(answer)
