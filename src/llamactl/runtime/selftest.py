"""Asks the configured engine about itself: help, version, devices."""

from __future__ import annotations

import asyncio

from llamactl.config import BackendSettings
from llamactl.core.errors import EngineMissing
from llamactl.runtime.command import find_engine

_LIMIT_S = 30.0
_MOST = 1 << 20  # bytes of output kept


class CommandEngineProbe:
    """Runs the engine with one flag, with a time limit, once; the answer is kept."""

    def __init__(self, settings: BackendSettings) -> None:
        self._settings = settings
        self._answers: dict[str, str] = {}

    def use(self, settings: BackendSettings) -> None:
        self._settings = settings
        self._answers.clear()

    async def ask(self, flag: str) -> str:
        if flag not in self._answers:
            self._answers[flag] = await self._run(flag)
        return self._answers[flag]

    async def _run(self, flag: str) -> str:
        engine = find_engine(self._settings)
        try:
            child = await asyncio.create_subprocess_exec(
                *engine.argv,
                flag,
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
                f"{engine.argv[0]} {flag} did not answer within {_LIMIT_S:.0f} s"
            ) from exc
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return output[:_MOST].decode("utf-8", "replace")
