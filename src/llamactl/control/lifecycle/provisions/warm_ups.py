"""The request that an engine gets before any traffic: its result is an event, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llamactl.config import SettingsHolder
from llamactl.control.lifecycle.provisions.contexts import Note
from llamactl.core.errors import LlamactlError, UnknownProcess
from llamactl.core.events import ProcessId
from llamactl.core.filters import Filters
from llamactl.core.ports.node import Node
from llamactl.core.ports.warm_up import WarmUpReport
from llamactl.policy.definition.warm_up import warm_up_of


class WarmUps:
    """Of one node. Nothing here keeps a process from serving."""

    def __init__(self, node: Node, held: SettingsHolder) -> None:
        self._node = node
        self._held = held

    def __repr__(self) -> str:
        return f"<WarmUps on {self._node.id}>"

    async def send(
        self, process: ProcessId, given: Mapping[str, Any], filters: Filters | None, note: Note
    ) -> bool:
        """To a process that is ready, and serves nobody yet; cancelling calls it off.

        `filters`: what is changed in the requests of its instance. True if it was answered.
        """
        seconds = self._held.current.instances.warm_up_timeout
        try:
            request = warm_up_of(given, filters)
            report = await self._node.warm_up(process, request, seconds)
        except UnknownProcess:
            report = WarmUpReport(error="the engine ended before it answered")
        except LlamactlError as exc:
            report = WarmUpReport(error=exc.message)
        _tell(note, report)
        return report.status > 0


def _tell(note: Note, report: WarmUpReport) -> None:
    counts = {"prompt_tokens": report.prompt_tokens, "tokens": report.tokens}
    known = {name: count for name, count in counts.items() if count}
    if not report.error:
        note("WarmedUp", "", {"seconds": report.seconds, **known})
        return
    status = {"status": report.status} if report.status else {}
    note("WarmUpFailed", report.error, {"seconds": report.seconds, **status})
