"""Where instances run: on this machine, as far as their definitions say nothing else."""

from __future__ import annotations

from llamactl.config import Settings
from llamactl.control.lifecycle.context import Journal, ReplicaContext
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.activator import Leases


class Nodes:
    """What the replicas on each node share."""

    def __init__(self, local: ReplicaContext) -> None:
        self.local = local

    def __repr__(self) -> str:
        return f"<Nodes {self.local.node.id}>"

    def of(self, options: InstanceOptions) -> ReplicaContext:
        """For an instance with these."""
        return self.local

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self.local.settings

    @property
    def journal(self) -> Journal:
        return self.local.journal

    @property
    def leases(self) -> Leases:
        return self.local.leases
