"""One container: held back as `create` leaves it, started, watched, ended and removed.

What `wait` returns is only a hint to look at it: its client may be killed, and its engine away for
a while. Only `inspect`, or that its first process is gone, says that it has ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from llamactl.core.exits import FailureClass
from llamactl.node.container.client import Client, ContainerState
from llamactl.node.container.failures import ContainerError, EngineDown, NoSuchContainer
from llamactl.node.container.follower import LogFollower
from llamactl.node.logs.log import InstanceLog
from llamactl.node.process import kernel_log
from llamactl.node.process.ports import descendants
from llamactl.node.process.process import Cause, Ended, hears, start_time, until_gone
from llamactl.observe import logger
from llamactl.observe.loop_clock import loop_clock

_FIRST_S, _LONGEST_S = 0.05, 1.0
_PATIENCE_S = 3.0  # with an engine that is away, once the first process is gone
_REMOVED_S = 30.0
_HEARS_S = 2.0  # in which the init of a container is up
_SHELL = 128  # what it adds to the signal that ended a program
_DOWN = Cause(
    FailureClass.CONTAINER_ENGINE_DOWN,
    "its container engine went away, and the container with it; start the container engine",
)
_REMOVED = Cause(FailureClass.KILLED, "something other than llamactl removed its container")
log = logger("node")


class ContainerGroup:
    """`exited` resolves once; afterwards the container is gone, and its name is free."""

    def __init__(
        self, client: Client, container: str, its_log: InstanceLog | None,
        log_fd: int | None = None, *, running: bool = False,
    ) -> None:  # fmt: skip
        """`its_log`: None if nobody reads it. `log_fd`: of one that is not started."""
        self.id = container
        self.pid = 0  # of its first process, once that is known to be on this machine
        self.start_time = 0
        self.exited: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.started = asyncio.Event()  # or it never will be
        self._client = client
        self._follower = None if its_log is None else LogFollower(client, container, its_log)
        self._log_fd = log_fd
        self._wanted = asyncio.Event()
        self._ended_before: int | None = None  # by this signal, before it was started
        self._asked = False  # to end, by a signal of ours
        self._tasks: set[asyncio.Task[None]] = set()
        if running:
            self._wanted.set()
        self._begin(self._live(running=running))

    def __repr__(self) -> str:
        return f"<ContainerGroup {self.id[:12]}>"

    def release(self) -> None:
        self._wanted.set()

    def signal(self, number: int) -> None:
        if self.exited.done():
            return
        if not self._wanted.is_set():
            self._ended_before = number
            self._wanted.set()
            return
        self._asked = True
        self._begin(self._send(number))

    def pids(self) -> Iterable[int] | None:
        return descendants(self.pid) if self.pid else None

    async def close(self) -> None:
        """Let go of it; it keeps running."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._close_log()

    def look_at(self, state: ContainerState) -> None:
        """Learn its pid, if that is one on this machine: its control group names the container."""
        if not state.pid or self.pid:
            return
        with suppress(OSError):
            groups = Path(f"/proc/{state.pid}/cgroup").read_text(encoding="utf-8")
            if self.id in groups:
                self.pid, self.start_time = state.pid, start_time(state.pid)

    # Its life.

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, *, running: bool) -> None:
        ended = Ended(None, None)
        try:
            ended = await self._until_over(running=running)
        except Exception as exc:
            # A fault of ours: its next start removes what is left of it.
            log.failure("container_lost", exc, container=self.id[:12])
        self.started.set()
        self.exited.set_result(ended)

    async def _until_over(self, *, running: bool) -> Ended:
        ended = None
        if not running:
            await self._wanted.wait()
            ended = await self._start()
        self.started.set()
        if ended is None:
            ended = await self._until_ended()
        self._close_log()
        if ended.cause is not _DOWN:
            await _remove(self._client, self.id)
        return ended

    async def _start(self) -> Ended | None:
        """How it ended already; None: it runs."""
        if self._ended_before is not None:
            return Ended(None, self._ended_before)
        try:
            await self._client.start(self.id)
        except ContainerError as exc:
            self._say(exc.said)
            return Ended(None, None, cause=exc.cause)
        with suppress(ContainerError):  # `_until_ended` looks again
            self.look_at(await self._client.inspect(self.id))
        return None

    async def _until_ended(self) -> Ended:
        if self._follower is None:
            return await self._watch()
        if self._log_fd is not None:
            self._follower.begin(self._log_fd)
            self._close_log()
        following = asyncio.create_task(self._follower.keep())
        try:
            ended = await self._watch()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await self._follower.ended()
        return ended

    async def _watch(self) -> Ended:
        pause, away_since = _FIRST_S, float("inf")
        while True:
            began = loop_clock().now()
            await self._until_hint()
            try:
                state = await self._client.inspect(self.id)
            except NoSuchContainer:
                return Ended(None, None, cause=_REMOVED)
            except ContainerError as exc:
                now = loop_clock().now()
                away_since = min(away_since, now)
                log.debug("container_engine_away", container=self.id[:12], reason=exc.said)
                if self._is_gone and (self._asked or now - away_since > _PATIENCE_S):
                    return Ended(None, None, cause=_DOWN)
            else:
                away_since = float("inf")
                if not state.is_running:
                    return await asyncio.to_thread(_end_of, state, self._client.kind, self.id)
                self.look_at(state)
                if loop_clock().now() - began > _LONGEST_S:
                    pause = _FIRST_S
            await loop_clock().sleep(pause)
            pause = min(pause * 2, _LONGEST_S)

    async def _until_hint(self) -> None:
        """That it may have ended: `wait` returns, or its first process is gone.

        Once that is gone nothing is waited for: the engine may hang, and its answer never come.
        """
        if self._is_gone:
            return
        hints = [asyncio.create_task(self._client.wait(self.id))]
        if self.pid:
            hints.append(asyncio.create_task(until_gone(self.pid)))
        try:
            await asyncio.wait(hints, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for hint in hints:
                hint.cancel()
            await asyncio.gather(*hints, return_exceptions=True)

    @property
    def _is_gone(self) -> bool:
        """Has its first process ended, as far as it can be seen?"""
        return bool(self.pid) and start_time(self.pid) != self.start_time

    async def _send(self, number: int) -> None:
        await self.started.wait()
        await _until_heard(self.pid, self.start_time, number)
        try:
            await self._client.kill(self.id, number)
        except NoSuchContainer:
            pass
        except EngineDown:
            _send_past_it(self.pid, self.start_time, number)
        except ContainerError as exc:  # it has ended, or is paused
            log.debug("container_not_signalled", container=self.id[:12], reason=exc.said)
            if number == signal.SIGKILL:
                with suppress(ContainerError):
                    await self._client.remove(self.id)

    def _say(self, text: str) -> None:
        """In its log."""
        if self._log_fd is not None:
            with suppress(OSError):
                os.write(self._log_fd, f"{text}\n".encode())

    def _close_log(self) -> None:
        if self._log_fd is not None:
            os.close(self._log_fd)
            self._log_fd = None


def _end_of(state: ContainerState, kind: str, container: str) -> Ended:
    """The status of a program that a signal ended is 128 and the signal, as in a shell."""
    if state.status == "created":
        return Ended(None, None, cause=Cause(FailureClass.UNKNOWN, "its container did not start"))
    oom: bool | None = state.oom_killed
    if kind == "podman" and not oom:  # which does not always say it
        oom = kernel_log.says_killed(container)
    return Ended(state.exit_code, None, oom_killed=oom)


async def _until_heard(pid: int, began: int, number: int) -> None:
    """The first process of a container ignores a signal until it says what to do with it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_HEARS_S):
            while pid and start_time(pid) == began and not hears(pid, number):  # noqa: ASYNC110
                await asyncio.sleep(_FIRST_S)


def _send_past_it(pid: int, began: int, number: int) -> None:
    """To the first process, which passes it on; its death ends all in the container."""
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if pid and start_time(pid) == began:
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)


async def _remove(client: Client, container: str) -> None:
    """What can't be removed now is removed before the next start, or when llamactl starts."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_REMOVED_S):
            await _until_removed(client, container)


async def _until_removed(client: Client, container: str) -> None:
    pause, began = _FIRST_S, loop_clock().now()
    while True:
        try:
            await client.remove(container)
            await client.inspect(container)  # Docker answers before it is done
        except NoSuchContainer:
            return
        except EngineDown:
            if loop_clock().now() - began > _PATIENCE_S:
                log.warning("container_left", container=container[:12])
                return
        except ContainerError as exc:
            log.warning("container_not_removed", container=container[:12], reason=exc.said)
        await loop_clock().sleep(pause)
        pause = min(pause * 2, _LONGEST_S)
