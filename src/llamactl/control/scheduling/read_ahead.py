"""While a place is made, the files of the model that will take it are read into the page cache."""

from __future__ import annotations

import asyncio

from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.core.lifecycle import State


class ReadAhead:
    """Ends with the grant, since from then on the engine reads; nothing waits for it."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by instance id

    def __repr__(self) -> str:
        return f"<ReadAhead for {len(self._tasks)} instances>"

    def begin(self, managed: ManagedInstance) -> None:
        """Others may have to leave for it too: it is read once."""
        identity, state = managed.instance.id, managed.replica.runner.now.state
        if state is State.ASLEEP and managed.replica.sleeps_when_asked:
            return  # its weights wait in memory
        if identity not in self._tasks:
            task = asyncio.get_running_loop().create_task(managed.replica.engine.read_ahead())
            self._tasks[identity] = task

    def end(self, managed: ManagedInstance) -> None:
        if task := self._tasks.pop(managed.instance.id, None):
            task.cancel()

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
