"""The node in our own process."""

from __future__ import annotations

from llamactl.core.ports.node import Node
from llamactl.node import NodeAgent


def local_node(agent: NodeAgent) -> Node:
    """Calls are its messages: nothing is lost or late."""
    return agent
