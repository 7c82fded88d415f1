"""Asks the configured engine about itself: help, version, devices."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from itertools import takewhile

from llamactl.backends import Kind
from llamactl.backends.settings import BackendSettings
from llamactl.core.errors import EngineMissing
from llamactl.node.engine.command import Engine, find_engine, surroundings

_LIMIT_S = 30.0
_MOST = 1 << 20  # bytes of output kept
_KEPT = 50  # answers


class CommandEngineProbe:
    """Runs the engine with one flag, with a time limit; the answer is kept as long as its file."""

    def __init__(self, kind: Kind, settings: Callable[[], BackendSettings]) -> None:
        """`settings`: those in force."""
        self._kind = kind
        self._in_force = settings
        self._answers: dict[tuple[str, ...], str] = {}

    @property
    def _settings(self) -> BackendSettings:
        return self._in_force()

    async def ask(self, flag: str) -> str:
        engine = find_engine(self._kind, self._settings)
        variables = [f"{name}={value}" for name, value in self._settings.environment.items()]
        key = (engine.label, _identity(engine.argv[0]), *variables, *self._words(), flag)
        if key not in self._answers:
            if len(self._answers) >= _KEPT:
                self._answers.clear()
            self._answers[key] = await self._run(engine, flag)
        return self._answers[key]

    def _words(self) -> tuple[str, ...]:
        """Of its arguments, those that belong to the command: a subcommand such as `serve`."""
        return tuple(takewhile(lambda word: not word.startswith("-"), self._settings.args))

    async def _run(self, engine: Engine, flag: str) -> str:
        try:
            child = await asyncio.create_subprocess_exec(
                *engine.argv,
                *self._words(),
                flag,
                env=surroundings(self._settings, os.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as exc:
            raise EngineMissing(f"cannot run {engine.argv[0]}: {exc}") from exc
        try:
            async with asyncio.timeout(_LIMIT_S):
                output, _ = await child.communicate()
        except TimeoutError as exc:
            raise EngineMissing(
                f"{engine.argv[0]} {flag} did not respond within {_LIMIT_S:.0f} s"
            ) from exc
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return output[:_MOST].decode("utf-8", "replace")


def _identity(path: str) -> str:
    """Changes when the file does."""
    at = os.stat(path)  # noqa: PTH116  one call for all of it
    return f"{at.st_dev}:{at.st_ino}:{at.st_size}:{at.st_mtime_ns}"
