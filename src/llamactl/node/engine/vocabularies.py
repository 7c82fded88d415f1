"""The options of each engine, from its own help, kept until the engine is another."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from llamactl.backends import backend_of
from llamactl.core.errors import EngineMissing
from llamactl.core.instance import InstanceOptions
from llamactl.node.engine.engine_info import CommandEngineProbe
from llamactl.policy.definition.command_line import is_engine
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary

_MOST_SEEN = 1000  # engines
_PATIENCE_S = 5.0  # a definition waits no longer; the next one may know


class Vocabularies:
    def __init__(self, probes: Mapping[str, CommandEngineProbe]) -> None:
        """`probes`: by the backend's section of the settings."""
        self._probes = probes
        self._seen: dict[tuple[str, str], Vocabulary] = {}

    async def of(self, options: InstanceOptions) -> Vocabulary:
        """Of the engine that serves such an instance; empty if it does not answer in time.

        A program of the instance's own is asked only if it is the engine by its name: what another
        one does when it is asked for help, nobody knows.
        """
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        known = self._seen[_engine(options)] = await self._of(options)
        return known

    def seen(self, options: InstanceOptions) -> Vocabulary | None:
        """What `of` said last, without asking; None if it did not."""
        return self._seen.get(_engine(options))

    async def _of(self, options: InstanceOptions) -> Vocabulary:
        backend = backend_of(options.backend_type)
        kind, program = backend.kind, options.command_override
        if backend.listed_options() is not None or not kind.questions.help:
            return UNREAD
        if program and not is_engine(program, kind.programs):
            return UNREAD
        try:
            probe = self._probes[kind.section]
            text = await probe.ask(kind.questions.help, program, within=_PATIENCE_S)
        except (EngineMissing, TimeoutError):
            return UNREAD
        return _read(kind.type, text)


def _engine(options: InstanceOptions) -> tuple[str, str]:
    return backend_of(options.backend_type).name, options.command_override


@lru_cache(maxsize=16)
def _read(backend_type: str, text: str) -> Vocabulary:
    return Vocabulary(backend_of(backend_type).read_help(text))
