"""For how long a node that is away is waited for, before what ran there starts elsewhere."""

from __future__ import annotations

import time

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.observe import logger
from llamactl.observe.loop_clock import loop_clock
from llamactl.policy.scheduling.placement import is_own_network

log = logger("control")


class Grace:
    """Of all nodes together: if most are away since the same moment, it is rather us."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._since: dict[str, float] = {}  # monotonic seconds, by name of those that are away

    def __repr__(self) -> str:
        return f"<Grace for {len(self._since)} nodes>"

    async def until_back(self, one: ReplicaContext, patience_s: float) -> bool:
        """True once it is there, at once if it is; False when its time is over.

        `patience_s`: beyond the time in the settings.
        """
        self._since[one.name] = time.monotonic()
        told = False
        while not await self._is_back_within(one, patience_s):
            if not self._are_cut_off(one):
                return False
            if not told:
                why = "most nodes vanished at once: nothing is moved until some are back"
                log.warning("nodes_awaited", reason=why)
            told = True
        return True

    def is_back(self, one: ReplicaContext) -> None:
        """However long that took."""
        self._since.pop(one.name, None)

    async def _is_back_within(self, one: ReplicaContext, patience_s: float) -> bool:
        grace_s = one.settings.instances.node_grace
        try:
            async with loop_clock().timeout(grace_s + patience_s if grace_s else None):
                await one.reach.until_up()
        except TimeoutError:
            return False
        return True

    def _are_cut_off(self, one: ReplicaContext) -> bool:
        since, grace_s = self._since[one.name], one.settings.instances.node_grace
        together = [other for other in self._since.values() if abs(other - since) <= grace_s]
        return is_own_network(len(together), len(self._nodes.others))
