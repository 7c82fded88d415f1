"""What ours is called in a Ray cluster."""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "llamactl"
LABEL: Final = "llamactl/node"  # of a machine: the name of the node there
MEMBERS: Final = b""  # instead of a node's name, in a question: which machines are there?
