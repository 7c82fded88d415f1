"""What instances take of the memory."""

from __future__ import annotations

from llamactl.core.instance import Instance
from llamactl.core.memory import Need


class Memory:
    async def need(self, instance: Instance) -> Need:
        return Need()

    async def fell_short(self, instance: Instance) -> None: ...
