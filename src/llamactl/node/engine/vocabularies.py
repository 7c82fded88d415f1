"""What engines say of their options, for as long as they are the same engines."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from llamactl.backends import Kind, backend_of
from llamactl.core.errors import EngineMissing
from llamactl.core.instance import InstanceOptions
from llamactl.node.engine.engine_info import CommandEngineProbe
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary

_PATIENCE_S = 5.0  # a definition waits no longer; the next one may know


class Vocabularies:
    def __init__(self, probes: Mapping[str, CommandEngineProbe]) -> None:
        """`probes`: by the backend's section of the settings."""
        self._probes = probes
        self._asking: dict[tuple[str, str], _Asking] = {}

    async def of(self, options: InstanceOptions) -> Vocabulary:
        """Of the engine that serves such an instance; empty if it does not say them in time.

        A program of the instance's own is asked only if it is the engine by its name: what another
        one does when it is asked for help, nobody knows.
        """
        backend = backend_of(options.backend_type)
        kind, program = backend.kind, options.command_override
        if backend.listed_options() is not None or not kind.questions.help:
            return UNREAD
        if program and Path(program).name not in kind.programs:
            return UNREAD
        try:
            text = await self._help(kind, program)
        except (EngineMissing, TimeoutError):
            return UNREAD
        return _read(kind.type, text)

    async def _help(self, kind: Kind, program: str) -> str:
        """Raises EngineMissing or TimeoutError."""
        key = (kind.section, program)
        if (asking := self._asking.get(key)) is None:
            question = self._probes[kind.section].ask(kind.questions.help, program)
            asking = self._asking[key] = _Asking(asyncio.create_task(question))
            asking.task.add_done_callback(lambda _: self._asking.pop(key))
        async with asyncio.timeout_at(asking.until):
            return await asyncio.shield(asking.task)


class _Asking:
    def __init__(self, task: asyncio.Task[str]) -> None:
        self.task = task
        self.until = asyncio.get_running_loop().time() + _PATIENCE_S
        task.add_done_callback(_seen)


def _seen(task: asyncio.Task[str]) -> None:
    if not task.cancelled():
        task.exception()  # who asked may have given up


@lru_cache(maxsize=16)
def _read(backend_type: str, text: str) -> Vocabulary:
    return Vocabulary(backend_of(backend_type).read_help(text))
