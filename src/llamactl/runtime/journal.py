"""Where the runtime writes down what happens, before it acts on it."""

from __future__ import annotations

from typing import Protocol

from llamactl.core.events import InstanceEvent, ProcessRecord
from llamactl.core.exits import ExitReport
from llamactl.core.lifecycle import Lifecycle


class Journal(Protocol):
    async def record(
        self, event: InstanceEvent, now: Lifecycle, last_exit: ExitReport | None
    ) -> None: ...

    async def enter_process(self, record: ProcessRecord) -> None: ...

    async def forget_process(self, instance_id: str) -> None: ...
