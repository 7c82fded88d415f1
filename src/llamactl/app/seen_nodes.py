"""The machines that were seen: a server that starts expects them back."""

from __future__ import annotations

from llamactl.cluster.node_names import NodeNames
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.observe import logger

log = logger("cluster")


class SeenNodes:
    def __init__(self, nodes: Nodes, names: NodeNames) -> None:
        """Raises InvalidConfig."""
        self._nodes = nodes
        self._names = names
        self._seen = {*names.read()}
        for node in self._seen:
            nodes.welcome(node)

    def __repr__(self) -> str:
        return f"<SeenNodes {sorted(self._seen)}>"

    def see(self, node: str) -> None:
        """From then on it is tidied whenever it comes back."""
        self._nodes.welcome(node)
        self._keep(self._seen | {node})

    def give_up(self, node: str) -> None:
        """It is not expected back."""
        self._nodes.given_up.add(node)
        self._keep(self._seen - {node})

    def _keep(self, seen: set[str]) -> None:
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._names.keep(seen)
        except OSError as exc:
            log.warning("nodes_not_remembered", reason=str(exc))
