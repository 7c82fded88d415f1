"""Asks the configured engine about itself: help, version, devices."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import takewhile
from typing import Any

from llamactl.backends import Kind
from llamactl.core.errors import EngineMissing
from llamactl.core.ports.node import EngineSettings
from llamactl.node.engine.builds import EngineBuilds
from llamactl.node.engine.command import Engine, find_engine, surroundings
from llamactl.node.host.kept_answers import KeptAnswers

_MOST = 1 << 20  # bytes of output kept
_KEPT = 50  # answers
_ENDED_S = 1.0  # what it started by itself may hold the pipe longer
_SILENT_S = 300.0  # in which an engine that did not answer is not asked again


class CommandEngineProbe:
    """Runs the engine with one flag, with a time limit; the answer is kept as long as its file."""

    def __init__(
        self, kind: Kind, settings: Callable[[], EngineSettings], builds: EngineBuilds
    ) -> None:
        """`settings`: those in force."""
        self._kind = kind
        self._limit_s = kind.questions.limit_s
        self._builds = builds
        self._in_force = settings
        # of an engine that is slow to answer, over restarts of llamactl
        folder = builds.folder / "answers"
        self._on_disk = KeptAnswers(folder) if kind.questions.is_slow else None
        self._answers: dict[tuple[str, ...], str] = {}
        self._silent: dict[tuple[str, ...], float] = {}  # until when they are not asked again
        self._asking: dict[tuple[str, ...], _Asking] = {}

    @property
    def _settings(self) -> EngineSettings:
        return self._in_force()

    async def ask(self, flag: str, program: str = "", *, within: float | None = None) -> str:
        """As `EngineProbe.ask`; several who ask the same at once have it run once.

        `program`: instead of the configured one. `within`: seconds from when it was run. Raises
        TimeoutError.
        """
        engine = find_engine(self._kind, self._settings, self._builds, program or None)
        variables = [f"{name}={value}" for name, value in self._settings.environment.items()]
        key = (engine.label, _identity(engine.argv[0]), *variables, *self._words(), flag)
        if key not in self._answers and self._on_disk is not None:
            kept = await asyncio.to_thread(self._on_disk.get, key)
            if kept is not None:
                self._answers[key] = kept
        if key in self._answers:
            return self._answers[key]
        if (asking := self._asking.get(key)) is None:
            asking = self._asking[key] = _Asking(self._answer(key, engine, flag))
            asking.task.add_done_callback(lambda _: self._asking.pop(key))
        async with asyncio.timeout_at(None if within is None else asking.began + within):
            return await asyncio.shield(asking.task)

    async def _answer(self, key: tuple[str, ...], engine: Engine, flag: str) -> str:
        """Raises EngineMissing, at once for one that was silent a moment ago."""
        what = f"{engine.argv[0]} {flag} did not respond within {self._limit_s:.0f} s"
        for kept in (self._answers, self._silent):
            if len(kept) >= _KEPT:
                kept.clear()
        if time.monotonic() < self._silent.get(key, 0.0):
            raise EngineMissing(what)
        try:
            answer = self._answers[key] = await self._run(engine, flag)
        except TimeoutError as exc:
            self._silent[key] = time.monotonic() + _SILENT_S
            raise EngineMissing(what) from exc
        if self._on_disk is not None:
            await asyncio.to_thread(self._on_disk.put, key, answer)
        return answer

    def _words(self) -> tuple[str, ...]:
        """Of its arguments, those that belong to the command: a subcommand such as `serve`."""
        return tuple(takewhile(lambda word: not word.startswith("-"), self._settings.args))

    async def _run(self, engine: Engine, flag: str) -> str:
        """Raises EngineMissing or TimeoutError."""
        try:
            child = await asyncio.create_subprocess_exec(
                *engine.argv,
                *self._words(),
                flag,
                env=surroundings(self._settings, os.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as exc:
            raise EngineMissing(f"cannot run {engine.argv[0]}: {exc}") from exc
        try:
            async with asyncio.timeout(self._limit_s):
                assert child.stdout is not None
                output = await _all_of(child.stdout)
                if len(output) < _MOST:
                    await child.wait()
        finally:
            if child.returncode is None:
                with suppress(ProcessLookupError):  # and what it started itself
                    os.killpg(child.pid, signal.SIGKILL)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_ENDED_S):
                        await child.communicate()  # so that its pipe is closed
                await child.wait()
        return output.decode("utf-8", "replace")


class _Asking:
    """Continues when those who asked have given up."""

    def __init__(self, work: Coroutine[Any, Any, str]) -> None:
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        self.task = loop.create_task(work)
        self.task.add_done_callback(_seen)


def _seen(task: asyncio.Task[str]) -> None:
    if not task.cancelled():
        task.exception()


async def _all_of(stream: asyncio.StreamReader) -> bytes:
    """But for what exceeds `_MOST`, which is not read."""
    found = b""
    while len(found) < _MOST and (data := await stream.read(_MOST - len(found))):
        found += data
    return found


def _identity(path: str) -> str:
    """Changes when the file does."""
    at = os.stat(path)  # noqa: PTH116  one call for all of it
    return f"{at.st_dev}:{at.st_ino}:{at.st_size}:{at.st_mtime_ns}"
